/**
 * Every error deadpeer raises on purpose has a code from this one table. Codes are stable: a program may switch on
 * them. docs/errors.md describes each, and a test holds the two together.
 */
export const errorCodes = {
  "bad-duration": "a duration that cannot be read, such as a number without a unit",
  "bad-address": "an address, network or port that cannot be read",
  "bad-option": "a setting, option or argument that is not allowed or contradicts another",
  "bad-filter": "a filter that cannot match anything",
  "bad-capture":
    "a capture file that is none, or is damaged; the message names the byte and what was expected",
  "bad-scenario":
    "a lab scenario that cannot be read or contradicts itself; the message names the place in the file",
  "budget-impossible":
    "a time to detect that no settings can hold; the message names the nearest that can be held",
  "unknown-path": "a middlebox that is not in the catalogue; the message names the nearest",
  "unknown-target": "a program that --for has no snippet for; the message names the nearest",
  "unknown-scenario": "a lab scenario that does not exist; the message names the nearest",
  "value-refused": "a value that the kernel refuses or did not keep",
  "no-socket": "no TCP socket stands behind the object that was given, or it is already closed",
  "no-process": "a process that does not exist, or ended while it was read",
  "no-namespace": "a network namespace that does not exist",
  "no-cgroup": "a cgroup, service or container that does not exist, or has just ended",
  "no-policy": "a policy that does not exist, or a cgroup that has none",
  "no-primary": "a cluster's primary does not count connections for its workers' governors, or no longer",
  "policy-exists": "a cgroup that has a policy already; the message says which",
  "file-conflict": "a file that deadpeer would write exists and is not deadpeer's",
  "file-in-use": "a file that one process at a time may have is in use already",
  "heartbeat-protocol": "the peer of a heartbeat connection sent something that the protocol does not allow",
  "cannot-connect": "a server that has no address, cannot be reached, refuses, or does not answer",
  "http-protocol": "a server's HTTP answer that cannot be read, or redirects without end",
  "bad-configuration":
    "a configuration file that cannot be read or is not understood; the message names file and line",
  "measurement-void": "a measurement that shows nothing, because the path or the server failed meanwhile",
  "queue-full": "more waits for a peer than the queue's bounds allow, and its policy is to refuse",
  "connection-closed": "a long connection, session or server that has been closed is asked for something",
  "ffi-unavailable":
    "koffi, the optional dependency that reaches the kernel, is not installed or has no build for here",
  "platform-unsupported": "something that only works on another operating system or architecture",
  "permission-denied": "a privilege is missing; the message names the capability",
  "feature-missing": "the kernel lacks a feature; the message names the version that has it",
  "bpf-refused":
    "the kernel's BPF verifier refused a program of deadpeer's; the error's log holds all it said",
  "tool-missing": "a program that deadpeer needs cannot be started; the message names it",
  "lab-failed": "the lab's hosts could not be made or changed as a scenario asked",
  "netlink-protocol": "the kernel answered a netlink request with something that cannot be read",
  "syscall-failed": "a system call failed in a way that has no better name; operation and errno say which",
  aborted: "the caller's AbortSignal fired",
} as const;

export type ErrorCode = keyof typeof errorCodes;

export interface DeadpeerErrorOptions {
  /** The system call or operation that failed, e.g. `setsockopt(TCP_KEEPIDLE)`. */
  readonly operation?: string;
  /** The errno by name, e.g. `EPERM`. */
  readonly errno?: string;
  readonly cause?: unknown;
}

/**
 * The one error class. `message` is a single line that says what was wrong, where, and what to do.
 *
 * @example
 * try { planDetection({ detectWithin: "35" }); }
 * catch (error) { if (error instanceof DeadpeerError && error.code === "bad-duration") askAgain(error.message); }
 */
export class DeadpeerError extends Error {
  readonly code: ErrorCode;
  readonly operation: string | undefined;
  readonly errno: string | undefined;

  constructor(code: ErrorCode, message: string, options: DeadpeerErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "DeadpeerError";
    this.code = code;
    this.operation = options.operation;
    this.errno = options.errno;
  }
}
