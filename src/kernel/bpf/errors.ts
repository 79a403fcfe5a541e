import { DeadpeerError } from "../../errors.js";
import { type Answer, type Capability, have } from "../capabilities.js";
import { errnoName } from "../errno.js";
import { syscallError } from "../libc.js";
import { compareKernelVersions, kernelVersion } from "../version.js";
import { memoryLimit } from "./memory-limit.js";

/** What bpf(2) is asked for, and which capabilities each asks for: one of each list. */
const needs = {
  BPF_MAP_CREATE: [["CAP_BPF", "CAP_SYS_ADMIN"]],
  BPF_MAP_LOOKUP_ELEM: [["CAP_BPF", "CAP_SYS_ADMIN"]],
  BPF_MAP_UPDATE_ELEM: [["CAP_BPF", "CAP_SYS_ADMIN"]],
  BPF_PROG_LOAD: [["CAP_BPF", "CAP_SYS_ADMIN"], ["CAP_NET_ADMIN"]],
  BPF_PROG_ATTACH: [["CAP_NET_ADMIN"]],
  BPF_PROG_DETACH: [["CAP_NET_ADMIN"]],
  BPF_PROG_QUERY: [["CAP_NET_ADMIN"]],
  BPF_PROG_GET_FD_BY_ID: [["CAP_SYS_ADMIN"]],
  BPF_MAP_GET_FD_BY_ID: [["CAP_SYS_ADMIN"]],
  BPF_OBJ_GET_INFO_BY_FD: [["CAP_SYS_ADMIN"]],
} as const satisfies Record<string, readonly (readonly Capability[])[]>;

export type BpfOperation = keyof typeof needs;

/** What of the machine and the process a refusal may come from. */
export interface BpfCircumstances {
  readonly has: (capability: Capability) => Answer;
  /** RLIMIT_MEMLOCK in bytes where BPF memory counts against it; null: it does not, or it has no limit. */
  readonly memoryLimit: number | null;
}

/** The error for an errno of bpf(2), with what was missing by name. */
export function bpfError(
  errno: number,
  operation: BpfOperation,
  circumstances: BpfCircumstances = circumstancesHere(),
): DeadpeerError {
  const call = `bpf(${operation})`;
  const name = errnoName(errno);
  const options = { operation: call, errno: name };
  switch (name) {
    case "ENOSYS":
      return new DeadpeerError(
        "feature-missing",
        `${call}: this kernel was built without BPF (CONFIG_BPF_SYSCALL)`,
        options,
      );
    case "EPERM":
      return new DeadpeerError(
        "permission-denied",
        `${call}: ${whyDenied(operation, circumstances)}`,
        options,
      );
    case "ENOMEM":
      return new DeadpeerError(
        "syscall-failed",
        `${call}: the kernel has no memory for it, or the cgroup of this process has reached its limit (ENOMEM)`,
        options,
      );
    default:
      return syscallError(errno, call);
  }
}

/** The capabilities that this process surely lacks for something, as people write them; empty: none. */
export function missingFor(operation: BpfOperation, has: BpfCircumstances["has"] = have): string[] {
  const alternatives: readonly (readonly Capability[])[] = needs[operation];
  return alternatives
    .filter((oneOf) => oneOf.every((capability) => has(capability) === "no"))
    .map(([first = "CAP_SYS_ADMIN"]) =>
      // CAP_BPF came with Linux 5.8.
      first === "CAP_BPF" ? "CAP_BPF (CAP_SYS_ADMIN before Linux 5.8)" : first,
    );
}

/**
 * Refuses before anything is begun what would surely be refused in its course, naming all that is missing at once.
 *
 * @throws DeadpeerError `permission-denied`.
 */
export function requireBpfCapabilities(has: BpfCircumstances["has"] = have): void {
  // With CAP_SYS_ADMIN only trying tells: newer kernels ask for nothing else (bpf_net_capable).
  if (has("CAP_SYS_ADMIN") !== "no") return;
  const missing = new Set(
    Object.keys(needs).flatMap((operation) => missingFor(operation as BpfOperation, has)),
  );
  throw new DeadpeerError(
    "permission-denied",
    `BPF programs on a cgroup need ${[...missing].join(", ")}; run as root`,
  );
}

function whyDenied(operation: BpfOperation, { has, memoryLimit }: BpfCircumstances): string {
  const missing = missingFor(operation, has);
  if (missing.length > 0) return `needs ${missing.join(" and ")}; run as root`;
  if (memoryLimit !== null)
    return `before Linux 5.11 BPF memory counts as locked, the limit of this process is ${memoryLimit / 1_024} KiB, and raising it needs CAP_SYS_RESOURCE; try: ulimit -l unlimited`;
  return "refused although the capabilities are there: look for a container's seccomp profile, or a user namespace";
}

function circumstancesHere(): BpfCircumstances {
  const version = kernelVersion();
  const counts = version === null || compareKernelVersions(version, { major: 5, minor: 11, patch: 0 }) < 0;
  return { has: have, memoryLimit: counts ? (memoryLimit()?.soft ?? null) : null };
}
