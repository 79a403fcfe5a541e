import { constants } from "node:os";
import { type Limit, readLimit, setLimit } from "../limits.js";

/** How much memory this process may lock, in bytes; null: as much as it likes. */
export function memoryLimit(): Limit | null {
  const limit = readLimit("Max locked memory");
  return limit === null || !Number.isFinite(limit.soft) ? null : limit;
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
  if (!lock(Infinity, Infinity) && !(limit.hard > limit.soft && lock(limit.hard, limit.hard))) return null;
  try {
    return again();
  } finally {
    lock(limit.soft, limit.hard);
  }
}

/** @returns false if it may not be set so. */
function lock(soft: number, hard: number): boolean {
  return setLimit("Max locked memory", { soft, hard });
}
