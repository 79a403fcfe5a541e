import { DeadpeerError } from "../../errors.js";

/** The kernel's verifier refused a program. `log` is all that it said. */
export class VerifierError extends DeadpeerError {
  readonly log: string;

  constructor(program: string, log: string, errno: string) {
    super("bpf-refused", `the kernel's BPF verifier refuses ${program}: ${summariseVerifierLog(log)}`, {
      operation: "bpf(BPF_PROG_LOAD)",
      errno,
    });
    this.log = log;
  }
}

/** Lines that the verifier ends every log with. */
const statistics =
  /^(processed \d+ insns|verification time|stack depth|max_states|mark_read|func#|\d+: safe$|-- END PROG)/;
/** An instruction, as in `4: (85) call bpf_setsockopt#49`. */
const instruction = /^\d+: \([0-9a-f]{2}\) /;

/**
 * The line of a log that says what is wrong, with the instruction that it is about: the verifier stops at the first mistake, so
 * both stand at the end.
 *
 * @example summariseVerifierLog(log) // "R1 type=scalar expected=ctx, at 4: (85) call bpf_setsockopt#49"
 */
export function summariseVerifierLog(log: string): string {
  const lines = log
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !statistics.test(line));
  const complaint = lines.findLast((line) => !isState(line) && !instruction.test(line));
  const place = lines.findLast((line) => instruction.test(line));
  if (complaint === undefined) return place === undefined ? "it gave no reason" : `at ${place}`;
  return place === undefined ? complaint : `${complaint}, at ${withoutState(place)}`;
}

/** What registers and stack hold at an instruction: `R1=ctx() R10=fp0`, `0: R1=ctx(off=0,imm=0) R10=fp0`, `; source`. */
function isState(line: string): boolean {
  return /^(\d+: )?R\d+(_\w+)?=/.test(line) || /^from \d+ to \d+/.test(line) || line.startsWith(";");
}

/** Newer kernels write the registers behind the instruction. */
function withoutState(line: string): string {
  return line.replace(/\s*;.*$/, "");
}
