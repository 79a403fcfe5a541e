import { constants } from "node:os";
import { readFileSync } from "node:fs";
import { libc } from "../libc.js";

/** include/uapi/asm-generic/resource.h, for x64 and arm64. */
const RLIMIT_MEMLOCK = 8;
const RLIM_INFINITY = 0xffff_ffff_ffff_ffffn;

export interface MemoryLimit {
  readonly soft: number;
  /** Infinity: none. */
  readonly hard: number;
}

/** How much memory this process may lock, in bytes; null: as much as it likes. */
export function memoryLimit(): MemoryLimit | null {
  const line = /^Max locked memory\s+(\S+)\s+(\S+)/m.exec(readFileSync("/proc/self/limits", "utf8"));
  const [soft, hard] = [line?.[1], line?.[2]].map((text) => (text === "unlimited" ? Infinity : Number(text)));
  return soft === undefined || hard === undefined || !Number.isFinite(soft) ? null : { soft, hard };
}

/**
 * Tries something again under the highest limit of locked memory that this process may have. Kernels before 5.11 charge BPF memory
 * to it when something is made, not later, and answer EPERM where it is too much (bpf_charge_memlock); so the limit is put back at
 * once, before a child could inherit it.
 *
 * @param errno what the first try came to.
 * @returns what the second try came to; null if there was no sense in one.
 */
export function withMemoryLimitRaised(errno: number, again: () => number): number | null {
  if (errno !== constants.errno.EPERM) return null;
  const limit = memoryLimit();
  if (limit === null) return null;
  // Beyond the hard limit takes CAP_SYS_RESOURCE.
  if (!setLimit(Infinity, Infinity) && !(limit.hard > limit.soft && setLimit(limit.hard, limit.hard)))
    return null;
  try {
    return again();
  } finally {
    setLimit(limit.soft, limit.hard);
  }
}

function setLimit(soft: number, hard: number): boolean {
  // struct rlimit: two unsigned longs.
  const limit = Buffer.alloc(16);
  for (const [index, value] of [soft, hard].entries())
    limit.writeBigUInt64LE(Number.isFinite(value) ? BigInt(value) : RLIM_INFINITY, index * 8);
  return libc().setrlimit(RLIMIT_MEMLOCK, limit) === 0;
}
