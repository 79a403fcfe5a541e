import { OwnedFd } from "./fd.js";
import { check, libc } from "./libc.js";

/** EFD_CLOEXEC | EFD_NONBLOCK. */
const flags = 0o2000000 | 0o4000;
const one = Buffer.from(new BigUint64Array([1n]).buffer);
const count = Buffer.alloc(8);

/**
 * Wakes a thread that waits in epoll: eventfd(2).
 *
 * @example
 * using bell = EventFd.create();
 * epoll.add(bell.fd, 0, 0);
 * EventFd.ring(bell.fd); // from another thread
 */
export class EventFd implements Disposable {
  readonly #owned: OwnedFd;

  private constructor(fd: number) {
    this.#owned = new OwnedFd(fd);
  }

  /** @throws DeadpeerError `syscall-failed`, as EMFILE. */
  static create(): EventFd {
    return new EventFd(check(libc().eventfd(0, flags), "eventfd"));
  }

  get fd(): number {
    return this.#owned.fd;
  }

  /** One that cannot count further has been rung already. */
  static ring(fd: number): void {
    libc().write(fd, one, one.length);
  }

  /** It is silent until it is rung again. */
  static silence(fd: number): void {
    libc().read(fd, count, count.length);
  }

  [Symbol.dispose](): void {
    this.#owned.close();
  }
}
