import { check, lastErrno, libc } from "./libc.js";

/** include/linux/socket.h: MSG_DONTWAIT, and with it MSG_NOSIGNAL. */
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
/** include/uapi/linux/fcntl.h. */
const F_DUPFD_CLOEXEC = 1030;

/**
 * Reads what has arrived, without waiting: up to the whole of `into`.
 *
 * @returns how many bytes; 0 at the peer's end; an errno as a negative number.
 * @example const length = receive(fd, room);
 */
export function receive(fd: number, into: Buffer): number {
  const length = libc().recv(fd, into, into.length, MSG_DONTWAIT);
  return length < 0 ? -lastErrno() : length;
}

/**
 * Sends the first bytes of `from`, without waiting.
 *
 * @returns how many were taken; an errno as a negative number, and no signal for a connection that has ended.
 * @example if (transmit(fd, room, 20) < 20) later();
 */
export function transmit(fd: number, from: Buffer, length: number): number {
  const taken = libc().send(fd, from, length, MSG_DONTWAIT | MSG_NOSIGNAL);
  return taken < 0 ? -lastErrno() : taken;
}

/**
 * A second descriptor for the same open socket: the connection stands for as long as one of them does.
 *
 * @returns an errno as a negative number, as of EMFILE.
 */
export function duplicate(fd: number): number {
  const second = libc().fcntl(fd, F_DUPFD_CLOEXEC, 3);
  return second < 0 ? -lastErrno() : second;
}

/** Closes a descriptor. @throws DeadpeerError `syscall-failed` for one that is not open. */
export function closeFd(fd: number): void {
  check(libc().close(fd), "close");
}
