import type { ErrorCode } from "../errors.js";

/** What the process says when it ends. A command sets `process.exitCode` to `findings` itself; errors are mapped here. */
export const exitStatus = {
  done: 0,
  findings: 1,
  badInput: 2,
  missing: 3,
  /** EX_SOFTWARE of sysexits(3): our own mistake. */
  defect: 70,
} as const;

const missing: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "ffi-unavailable",
  "platform-unsupported",
  "permission-denied",
  "feature-missing",
  "netlink-protocol",
  "syscall-failed",
  "bpf-refused",
  "tool-missing",
  "lab-failed",
  "measurement-void",
]);

export function statusOf(code: ErrorCode): number {
  return missing.has(code) ? exitStatus.missing : exitStatus.badInput;
}
