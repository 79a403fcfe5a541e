import { bpfNumber } from "../abi.js";
import { BPF_MAP_CREATE, BPF_PROG_LOAD } from "./abi.js";
import { addressOf, lastErrno, libc } from "../libc.js";
import { bpfError, type BpfOperation } from "./errors.js";
import { withMemoryLimitRaised } from "./memory-limit.js";

/** Longer than union bpf_attr is anywhere; kernels take more bytes than they know as long as these are zero. */
const attributeBytes = 128;

/**
 * union bpf_attr, filled field by field. The buffers that it points to are kept with it, so that they outlive the call.
 *
 * @example new BpfAttributes().word(0, fd).pointer(8, key)
 */
export class BpfAttributes {
  readonly bytes = Buffer.alloc(attributeBytes);
  readonly #held: Buffer[] = [];

  word(offset: number, value: number): this {
    this.bytes.writeUInt32LE(value, offset);
    return this;
  }

  pointer(offset: number, to: Buffer): this {
    this.bytes.writeBigUInt64LE(this.address(to), offset);
    return this;
  }

  /** Where a buffer lies, for a structure that these attributes point to. */
  address(of: Buffer): bigint {
    this.#held.push(of);
    return addressOf(of);
  }

  /** BPF_OBJ_NAME_LEN: 15 letters, digits, dots and underscores, and a zero. */
  name(offset: number, name: string): this {
    this.bytes.write(name, offset, 15, "latin1");
    return this;
  }
}

/** What kernels before 5.11 charge to the limit of locked memory. */
const charged: ReadonlySet<number> = new Set([BPF_MAP_CREATE, BPF_PROG_LOAD]);

/**
 * bpf(2): what it returns, or errno below zero. Where the memory limit of kernels before 5.11 may be what refused it, it is tried
 * once more under a higher one.
 */
export function tryBpf(command: number, attributes: BpfAttributes): number {
  const result = call(command, attributes);
  if (result >= 0 || !charged.has(command)) return result;
  return withMemoryLimitRaised(-result, () => call(command, attributes)) ?? result;
}

function call(command: number, attributes: BpfAttributes): number {
  const result = libc().bpf(bpfNumber(), command, attributes.bytes, attributeBytes);
  return result < 0 ? -lastErrno() : result;
}

/**
 * bpf(2).
 *
 * @throws DeadpeerError `permission-denied` naming what is missing, `feature-missing`, `syscall-failed`; `ffi-unavailable`,
 *   `platform-unsupported`.
 */
export function bpf(operation: BpfOperation, command: number, attributes: BpfAttributes): number {
  const result = tryBpf(command, attributes);
  if (result < 0) throw bpfError(-result, operation);
  return result;
}
