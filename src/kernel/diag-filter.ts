import { AF_INET, AF_INET6, AF_UNSPEC } from "./abi.js";
import type { Network } from "./addresses.js";

/**
 * A filter program for inet_diag: what the kernel leaves out never crosses into this process. The kernel runs it in
 * inet_diag_bc_run and refuses malformed ones in inet_diag_bc_audit (net/ipv4/inet_diag.c).
 */
export type DiagCondition =
  | {
      readonly kind: "endpoint";
      readonly side: DiagSide;
      readonly network: Network | null;
      readonly port: number | null;
    }
  | { readonly kind: "all"; readonly of: readonly DiagCondition[] }
  | { readonly kind: "any"; readonly of: readonly DiagCondition[] };

export type DiagSide = "local" | "remote";

/** INET_DIAG_BC_*, include/uapi/linux/inet_diag.h. */
const JMP = 1;
const S_COND = 7;
const D_COND = 8;

/** struct inet_diag_bc_op: code u8, yes u8 (bytes to the next instruction), no u16 (bytes to jump if it does not hold). */
const op = { code: 0, yes: 1, no: 2, bytes: 4 } as const;
/** struct inet_diag_hostcond, after the op: family u8, prefix_len u8, two bytes of padding, port s32, address. */
const hostCondition = { family: 0, prefixLength: 1, port: 4, address: 8 } as const;

const anyPort = -1;

/**
 * Assembles a program. It holds for a socket if it runs to exactly its end; a jump to four bytes behind the end says that
 * it does not hold, so a condition that stands last jumps there. Each part is assembled in that way by itself, and joining
 * parts moves those jumps.
 *
 * An IPv4 network also matches IPv6 sockets with mapped addresses (the kernel looks for that); a port without a network
 * matches both families.
 */
export function assembleFilter(condition: DiagCondition): Buffer {
  switch (condition.kind) {
    case "endpoint":
      return endpoint(condition.side, condition.network, condition.port);
    case "all":
      return join(condition.of, both);
    default:
      return join(condition.of, either);
  }
}

function join(of: readonly DiagCondition[], pair: (first: Buffer, second: Buffer) => Buffer): Buffer {
  const parts = of.map(assembleFilter);
  return parts.length === 0 ? Buffer.alloc(0) : parts.reduceRight((rest, part) => pair(part, rest));
}

/** Where the first fails, skip the second as well. */
function both(first: Buffer, second: Buffer): Buffer {
  const moved = Buffer.from(first);
  for (let offset = 0; offset < moved.length; offset += moved[offset + op.yes] as number) {
    const no = moved.readUInt16LE(offset + op.no);
    if (offset + no === moved.length + op.bytes) moved.writeUInt16LE(no + second.length, offset + op.no);
  }
  return Buffer.concat([moved, second]);
}

/** Where the first holds, jump over the second; where it fails, its jump lands behind that jump: on the second. */
function either(first: Buffer, second: Buffer): Buffer {
  return Buffer.concat([first, instruction(JMP, op.bytes, op.bytes + second.length), second]);
}

function endpoint(side: DiagSide, network: Network | null, port: number | null): Buffer {
  const operand = Buffer.alloc(hostCondition.address + (network?.bytes.length ?? 0));
  operand[hostCondition.family] = network === null ? AF_UNSPEC : network.family === 4 ? AF_INET : AF_INET6;
  operand[hostCondition.prefixLength] = network?.prefixLength ?? 0;
  operand.writeInt32LE(port ?? anyPort, hostCondition.port);
  if (network !== null) operand.set(network.bytes, hostCondition.address);
  const bytes = op.bytes + operand.length;
  const code = side === "local" ? S_COND : D_COND;
  return Buffer.concat([instruction(code, bytes, bytes + op.bytes), operand]);
}

function instruction(code: number, yes: number, no: number): Buffer {
  const bytes = Buffer.alloc(op.bytes);
  bytes[op.code] = code;
  bytes[op.yes] = yes;
  bytes.writeUInt16LE(no, op.no);
  return bytes;
}
