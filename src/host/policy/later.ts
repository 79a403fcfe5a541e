import { IPPROTO_TCP, SOL_SOCKET } from "../../kernel/abi.js";
import { sockFields, sockoptFields } from "../../kernel/bpf/abi.js";
import { Assembler, Label, type Register } from "../../kernel/bpf/assembler.js";
import { stateNumber } from "../../kernel/tcp-states.js";
import { marker } from "./marker.js";
import { type EndsInContext, writeMatch } from "./match.js";
import { layout } from "./record.js";
import { type PolicyRequest, policyWrites } from "./request.js";

const context: Register = 6;
const socket: Register = 7;
/** The policy's value for the option that is being set. */
const value: Register = 8;
/** The value that the program gives, in the kernel's copy of it. */
const given: Register = 1;

/** Every option of a policy is an int. */
const valueBytes = 4;
/** The kernel shows programs at least 16 bytes (__cgroup_bpf_run_filter_setsockopt); what lies behind the value goes no further. */
const shownBytes = 16;
const markerAt = 8;
/** The kernel shows no more of a value than a page, and refuses the whole call unless a program says that it looked at none of it. */
const shownLimit = 4_096;

const ends: EndsInContext = {
  base: socket,
  family: sockFields.family,
  remoteIpv4: sockFields.dst_ip4,
  remoteIpv6: sockFields.dst_ip6,
  // 16 bits in network order; the load of 32, which older kernels ask for, has zeros behind them.
  loadRemotePort: (code, into) => code.load("word", into, socket, sockFields.dst_port).fromNetwork(into, 16),
  loadLocalPort: (code, into) => code.load("word", into, socket, sockFields.src_port),
};

/**
 * The CGROUP_SOCKOPT program of a policy: where a program sets one of the policy's options on an established connection (as Go does
 * after every connect), the kernel gets the policy's value instead, and the program is told that all went well. With `onlyUnset`
 * it changes nothing, but keeps the policies of cgroups around this one from doing so. It never refuses anything.
 */
export function laterProgram(request: Required<PolicyRequest>, mapFd: number): Buffer {
  const code = new Assembler();
  const ours = new Label();
  const done = new Label();
  writeChoice(code, request, ours, done);
  code
    .place(ours)
    .load("double", socket, context, sockoptFields.sk)
    .load("word", 0, socket, sockFields.protocol)
    .jumpIf(0, "!=", IPPROTO_TCP, done);
  // Before that a socket has no connection: what it is given then is overwritten when it has one.
  code.load("word", 0, socket, sockFields.state);
  for (const state of ["CLOSE", "LISTEN", "SYN_SENT"] as const)
    code.jumpIf(0, "==", stateNumber(state), done);
  code
    // What is too short for an option the kernel refuses by itself.
    .load("word", 0, context, sockoptFields.optlen)
    .jumpIf(0, "signed <", valueBytes, done)
    .load("double", given, context, sockoptFields.optval)
    .load("double", 2, context, sockoptFields.optval_end)
    .move(0, given)
    .add(0, shownBytes)
    .jumpIfRegister(0, ">", 2, done)
    .load("word", 0, given, markerAt)
    .jumpIf(0, "==", marker, done);
  writeMatch(code, ends, request.ports, request.remotes, done);
  code.setImmediate(0, marker).store("word", given, markerAt, 0);
  if (!request.onlyUnset) writeReplacement(code, mapFd, done);
  return code.place(done).setImmediate(0, 1).exit().assemble();
}

/** Goes to `ours` with the policy's value for the option that is set, or to `done` if it is none of the policy's. */
function writeChoice(code: Assembler, request: Required<PolicyRequest>, ours: Label, done: Label): void {
  const tcp = new Label();
  const other = new Label();
  const choose = (level: number): void => {
    for (const write of policyWrites(request.settings)) {
      if (write.level !== level) continue;
      const next = new Label();
      code.jumpIf(2, "!=", write.option, next).setImmediate(value, write.value).jump(ours).place(next);
    }
    code.jump(other);
  };
  code
    .move(context, 1)
    .load("word", 0, context, sockoptFields.level)
    .load("word", 2, context, sockoptFields.optname)
    .jumpIf(0, "==", IPPROTO_TCP, tcp)
    .jumpIf(0, "!=", SOL_SOCKET, other);
  choose(SOL_SOCKET);
  code.place(tcp);
  choose(IPPROTO_TCP);
  code
    .place(other)
    .load("word", 0, context, sockoptFields.optlen)
    .jumpIf(0, "signed <", shownLimit, done)
    .setImmediate(0, 0)
    .store("word", context, sockoptFields.optlen, 0)
    .jump(done);
}

/** Has the kernel get the policy's value in place of the program's, and counts if they differ. */
function writeReplacement(code: Assembler, mapFd: number, done: Label): void {
  code
    .load("word", 0, given, 0)
    .jumpIfRegister(0, "==", value, done)
    .store("word", given, 0, value)
    .mapValue(2, mapFd, layout.held)
    .setImmediate(0, 1)
    .addToMemory(2, 0, 0);
}
