import { readFileSync } from "node:fs";

/** Bits of the capability sets (include/uapi/linux/capability.h): those that something in deadpeer asks for. */
const bits = {
  CAP_NET_ADMIN: 12,
  CAP_SYS_PTRACE: 19,
  CAP_SYS_ADMIN: 21,
  CAP_BPF: 39,
} as const;

export type Capability = keyof typeof bits;

/** "unknown": it could not be found out; only trying will tell. */
export type Answer = "yes" | "no" | "unknown";

/**
 * Whether this process has a capability over the whole machine.
 *
 * In a user namespace of its own (a rootless container) a process can have every capability, but only over what belongs to
 * that namespace. There the answer to a capability that is set is "unknown": it holds for its own network, not for the host's.
 *
 * @example have("CAP_NET_ADMIN") // "yes"
 */
export function have(capability: Capability): Answer {
  let status: string;
  let uidMap: string;
  try {
    // Capabilities belong to a thread, not to the process.
    status = readFileSync("/proc/thread-self/status", "utf8");
    uidMap = readFileSync("/proc/thread-self/uid_map", "utf8");
  } catch {
    return "unknown";
  }
  return answerFrom(capability, status, uidMap);
}

/** The answer that the two files of /proc give; apart from `have` so that every case can be tested. */
export function answerFrom(capability: Capability, status: string, uidMap: string): Answer {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  if (effective === undefined) return "unknown";
  if (((BigInt(`0x${effective}`) >> BigInt(bits[capability])) & 1n) === 0n) return "no";
  return isInitialUserNamespace(uidMap) ? "yes" : "unknown";
}

/** Only the initial user namespace maps all 2^32 - 1 user ids onto themselves (user_namespaces(7)). */
function isInitialUserNamespace(uidMap: string): boolean {
  return /^\s*0\s+0\s+4294967295\s*$/.test(uidMap);
}
