import { OwnedFd } from "./fd.js";
import { check, libc } from "./libc.js";

/** EFD_CLOEXEC | EFD_NONBLOCK. */
const flags = 0o2000000 | 0o4000;
const one = Buffer.from(new BigUint64Array([1n]).buffer);
const count = Buffer.alloc(8);

/**
 * What wakes a thread that waits in epoll: eventfd(2).
 *
 * @throws DeadpeerError `syscall-failed`, as EMFILE.
 * @example
 * using bell = createEventFd();
 * epoll.add(bell.fd, 0, 0);
 * ring(bell.fd); // from another thread
 */
export function createEventFd(): OwnedFd {
  return new OwnedFd(check(libc().eventfd(0, flags), "eventfd"));
}

/** Makes it readable. One that cannot count further has been rung already. */
export function ring(fd: number): void {
  libc().write(fd, one, one.length);
}

/** It is not readable until it is rung again. */
export function silence(fd: number): void {
  libc().read(fd, count, count.length);
}
