import { constants } from "node:os";
import { IPPROTO_TCP, TCP_NODELAY } from "./abi.js";
import { lastErrno, libc } from "./libc.js";

/** include/linux/net.h: SOCK_NONBLOCK and SOCK_CLOEXEC are the same bits as O_NONBLOCK and O_CLOEXEC. */
const flags = 0o4000 | 0o2000000;
const length = Buffer.alloc(4);
const one = Buffer.from(new Int32Array([1]).buffer);

/** As many bytes as a struct sockaddr_in6 has, the longest that a TCP socket's address takes. */
export const peerBytes = 28;

/**
 * Takes one connection from a listening socket, without waiting; it does not wait itself, and no program started later inherits it.
 *
 * @param peer is filled with the other side's address, as `peerAddress` reads it.
 * @returns the descriptor; an errno as a negative number, as of EAGAIN and EMFILE.
 */
export function accept(listener: number, peer: Buffer): number {
  length.writeUInt32LE(peerBytes);
  const fd = libc().accept4(listener, peer, length, flags);
  return fd < 0 ? -lastErrno() : fd;
}

/** Small answers wait for nobody; what a listening socket accepts from now on inherits it (sk_clone_lock copies `nonagle`). */
export function noDelay(fd: number): void {
  libc().setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, one, one.length);
}

/** What becomes of a listener after an errno of `accept`. */
export type AcceptProblem = "empty" | "next" | "no-descriptors" | "wait";

const { errno } = constants;
/**
 * accept(2) hands over what is wrong with the connection itself, or with its network, as if it were an error of its own: the next one
 * may be well.
 */
const ofConnection: ReadonlySet<number> = new Set([
  errno.ECONNABORTED,
  errno.EINTR,
  errno.ENETDOWN,
  errno.EPROTO,
  errno.ENOPROTOOPT,
  errno.EHOSTUNREACH,
  errno.EOPNOTSUPP,
  errno.ENETUNREACH,
  errno.ETIMEDOUT,
  errno.EPERM,
]);

/** @param problem an errno, positive. */
export function acceptProblem(problem: number): AcceptProblem {
  if (problem === errno.EAGAIN) return "empty";
  if (problem === errno.EMFILE || problem === errno.ENFILE) return "no-descriptors";
  return ofConnection.has(problem) ? "next" : "wait";
}
