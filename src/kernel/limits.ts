import { readFileSync } from "node:fs";
import { libc } from "./libc.js";

/** By their names in /proc/PID/limits, with the numbers of include/uapi/asm-generic/resource.h for x64 and arm64. */
const limits = { "Max open files": 7, "Max locked memory": 8 } as const;
const RLIM_INFINITY = 0xffff_ffff_ffff_ffffn;

export type LimitName = keyof typeof limits;

/** A resource limit (getrlimit(2)); Infinity: none. */
export interface Limit {
  readonly soft: number;
  readonly hard: number;
}

/** What a process may use of a resource; null: it cannot be read. */
export function readLimit(name: LimitName, pid: number | "self" = "self"): Limit | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/limits`, "utf8");
  } catch {
    return null;
  }
  const line = new RegExp(`^${name}\\s+(\\S+)\\s+(\\S+)`, "m").exec(text);
  const [soft, hard] = [line?.[1], line?.[2]].map((word) => (word === "unlimited" ? Infinity : Number(word)));
  return soft === undefined || hard === undefined ? null : { soft, hard };
}

/** Gives this process another limit; false: it may not have it. Beyond its hard limit takes CAP_SYS_RESOURCE. */
export function setLimit(name: LimitName, { soft, hard }: Limit): boolean {
  // struct rlimit: two unsigned longs.
  const limit = Buffer.alloc(16);
  for (const [index, value] of [soft, hard].entries())
    limit.writeBigUInt64LE(Number.isFinite(value) ? BigInt(value) : RLIM_INFINITY, index * 8);
  return libc().setrlimit(limits[name], limit) === 0;
}
