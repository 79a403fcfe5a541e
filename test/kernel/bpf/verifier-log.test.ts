import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { BPF_PROG_TYPE_SOCK_OPS } from "../../../src/kernel/bpf/abi.js";
import { Assembler } from "../../../src/kernel/bpf/assembler.js";
import { loadProgram } from "../../../src/kernel/bpf/programs.js";
import { summariseVerifierLog, VerifierError } from "../../../src/kernel/bpf/verifier-log.js";
import { needsRoot } from "../support.js";

const statistics = `processed 5 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
`;

describe("what a verifier's log comes down to", () => {
  for (const [what, log, summary] of [
    [
      "registers in lines of their own, as before Linux 5.18",
      `func#0 @0
0: R1=ctx(id=0,off=0,imm=0) R10=fp0
; int x = 1;
0: (b7) r0 = 1
1: R0_w=inv1 R1=ctx(id=0,off=0,imm=0) R10=fp0
1: (85) call bpf_setsockopt#49
R2 !read_ok
verification time 37 usec
stack depth 0
${statistics}`,
      "R2 !read_ok, at 1: (85) call bpf_setsockopt#49",
    ],
    [
      "registers behind the instruction, as newer kernels write them",
      `0: R1=ctx() R10=fp0
0: (79) r0 = *(u64 *)(r1 +0)          ; R0_w=scalar() R1=ctx()
invalid bpf_context access off=0 size=8
${statistics}`,
      "invalid bpf_context access off=0 size=8, at 0: (79) r0 = *(u64 *)(r1 +0)",
    ],
    [
      "a state that a jump brought along is no complaint",
      `4: (85) call bpf_setsockopt#49
R1 type=scalar expected=ctx
from 2 to 7: R0=0 R10=fp0
${statistics}`,
      "R1 type=scalar expected=ctx, at 4: (85) call bpf_setsockopt#49",
    ],
    [
      "a complaint before any instruction",
      `jump out of range from insn 0 to 9\n${statistics}`,
      "jump out of range from insn 0 to 9",
    ],
    ["an instruction alone", `3: (95) exit\n${statistics}`, "at 3: (95) exit"],
    ["nothing but statistics", statistics, "it gave no reason"],
    ["nothing", "", "it gave no reason"],
    ["a log that was cut off in a line", "0: (b7) r0 = 1\nR0 !read_o", "R0 !read_o, at 0: (b7) r0 = 1"],
  ] as const)
    test(what, () => assert.equal(summariseVerifierLog(log), summary));

  test("of this kernel's own: the mistake and the instruction, and the whole log beside them", {
    skip: needsRoot,
  }, () => {
    const code = new Assembler().move(0, 3).exit().assemble();
    assert.throws(
      () => loadProgram({ name: "mistaken", type: BPF_PROG_TYPE_SOCK_OPS, code }),
      (error) => {
        assert.ok(error instanceof VerifierError);
        assert.equal(error.code, "bpf-refused");
        assert.match(error.message, /refuses mistaken: R3 !read_ok, at 0: \(bf\) r0 = r3$/);
        assert.ok(error.log.length > error.message.length - 60 && error.log.includes("R3 !read_ok"));
        return true;
      },
    );
  });
});
