import { IPPROTO_TCP, SO_KEEPALIVE, SOL_SOCKET, TCP_USER_TIMEOUT } from "../../kernel/abi.js";
import {
  BPF_FUNC_getsockopt,
  BPF_FUNC_setsockopt,
  BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB,
  BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB,
  sockOpsFields,
} from "../../kernel/bpf/abi.js";
import { Assembler, Label, type Register } from "../../kernel/bpf/assembler.js";
import { marker } from "./marker.js";
import { type EndsInContext, writeMatch } from "./match.js";
import { layout } from "./record.js";
import { type OptionWrite, type PolicyRequest, policyWrites } from "./request.js";

const context: Register = 6;
/** 1 once something was set. */
const changed: Register = 7;
/** The last refusal, below zero; 0: none. */
const refusal: Register = 8;
const stack: Register = 10;
/** Where on the stack an option's value is passed. */
const optionValue = -8;

const ends: EndsInContext = {
  base: context,
  family: sockOpsFields.family,
  remoteIpv4: sockOpsFields.remote_ip4,
  remoteIpv6: sockOpsFields.remote_ip6,
  // Held as 32 bits in network order, of which the port is the last 16.
  loadRemotePort: (code, into) =>
    code.load("word", into, context, sockOpsFields.remote_port).fromNetwork(into, 32),
  loadLocalPort: (code, into) => code.load("word", into, context, sockOpsFields.local_port),
};

/**
 * The SOCK_OPS program of a policy: gives each connection its settings at the moment when it is established, whichever side began
 * it. What the program set before connecting, or a listener handed down, is overwritten then; with `onlyUnset` it is kept.
 */
export function establishedProgram(request: Required<PolicyRequest>, mapFd: number): Buffer {
  const code = new Assembler();
  const established = new Label();
  const done = new Label();
  code
    .move(context, 1)
    .load("word", 0, context, sockOpsFields.op)
    .jumpIf(0, "==", BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB, established)
    .jumpIf(0, "!=", BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB, done)
    .place(established)
    // The kernel takes no reply at these moments, and clears it before the first program.
    .load("word", 0, context, sockOpsFields.reply)
    .jumpIf(0, "==", marker, done);
  writeMatch(code, ends, request.ports, request.remotes, done);
  code
    .setImmediate(0, marker)
    .store("word", context, sockOpsFields.reply, 0)
    .setImmediate(changed, 0)
    .setImmediate(refusal, 0);

  const writes = policyWrites(request.settings);
  const groups = [
    { asked: { level: IPPROTO_TCP, option: TCP_USER_TIMEOUT }, writes: writes.filter(isUserTimeout) },
    // Whoever has switched keepalive on has also chosen its times, if only by leaving them to the system.
    {
      asked: { level: SOL_SOCKET, option: SO_KEEPALIVE },
      writes: writes.filter((write) => !isUserTimeout(write)),
    },
  ];
  for (const { asked, writes } of groups) {
    if (writes.length === 0) continue;
    const next = new Label();
    if (request.onlyUnset) skipIfSet(code, asked, next);
    for (const write of writes) setOption(code, write);
    code.place(next);
  }
  count(code, mapFd);
  return code.place(done).setImmediate(0, 1).exit().assemble();
}

function isUserTimeout({ level, option }: OptionWrite): boolean {
  return level === IPPROTO_TCP && option === TCP_USER_TIMEOUT;
}

/** Jumps to `next` if the option holds anything but 0, or cannot be read. */
function skipIfSet(code: Assembler, { level, option }: Omit<OptionWrite, "value">, next: Label): void {
  const readable = new Label();
  code.storeImmediate("word", stack, optionValue, 0);
  passOption(code, level, option);
  code
    .call(BPF_FUNC_getsockopt)
    .jumpIf(0, "==", 0, readable)
    .move(refusal, 0)
    .jump(next)
    .place(readable)
    .load("word", 0, stack, optionValue)
    .jumpIf(0, "!=", 0, next);
}

function setOption(code: Assembler, { level, option, value }: OptionWrite): void {
  const taken = new Label();
  const next = new Label();
  code.storeImmediate("word", stack, optionValue, value);
  passOption(code, level, option);
  code
    .call(BPF_FUNC_setsockopt)
    .jumpIf(0, "==", 0, taken)
    .move(refusal, 0)
    .jump(next)
    .place(taken)
    .setImmediate(changed, 1)
    .place(next);
}

/** The arguments that bpf_getsockopt and bpf_setsockopt share. */
function passOption(code: Assembler, level: number, option: number): void {
  code
    .move(1, context)
    .setImmediate(2, level)
    .setImmediate(3, option)
    .move(4, stack)
    .add(4, optionValue)
    .setImmediate(5, 4);
}

/** Adds the connection to touched, left alone or failed. */
function count(code: Assembler, mapFd: number): void {
  const failed = new Label();
  const touched = new Label();
  const counted = new Label();
  code
    .mapValue(2, mapFd, 0)
    .setImmediate(1, 1)
    .jumpIf(refusal, "!=", 0, failed)
    .jumpIf(changed, "!=", 0, touched)
    .addToMemory(2, layout.leftAlone, 1)
    .jump(counted)
    .place(failed)
    .addToMemory(2, layout.failed, 1)
    .negate(refusal)
    .store("double", 2, layout.errno, refusal)
    .jump(counted)
    .place(touched)
    .addToMemory(2, layout.touched, 1)
    .place(counted);
}
