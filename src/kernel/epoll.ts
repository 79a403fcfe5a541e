import { OwnedFd } from "./fd.js";
import { check, lastErrno, libc } from "./libc.js";
import { errnoName } from "./errno.js";

/** include/uapi/linux/eventpoll.h. */
export const readiness = { readable: 0x1, error: 0x8, hangUp: 0x10, peerEnded: 0x2000 } as const;

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CTL_MOD = 3;
const EPOLLONESHOT = 0x40000000;
const EPOLLET = 0x80000000;
const usual = readiness.readable | readiness.peerEnded;

/** struct epoll_event is packed on x86-64 alone. */
export const eventLayout =
  process.arch === "x64" ? { bytes: 12, low: 1, high: 2 } : { bytes: 16, low: 2, high: 3 };
const words = eventLayout.bytes / 4;
const controlNames: Readonly<Record<number, string>> = {
  [EPOLL_CTL_ADD]: "epoll_ctl(ADD)",
  [EPOLL_CTL_MOD]: "epoll_ctl(MOD)",
};

/**
 * An epoll set, empty.
 *
 * @throws DeadpeerError `syscall-failed`, as EMFILE.
 */
export function createEpoll(): OwnedFd {
  return new OwnedFd(check(libc().epoll_create1(EPOLL_CLOEXEC), "epoll_create1"));
}

/**
 * The use of an epoll set, which somebody else owns. What is added is known by two words of the caller's, and not by its
 * descriptor's number, which is somebody else's as soon as it is closed.
 *
 * @example
 * using set = createEpoll();
 * const epoll = new Epoll(set.fd, 1_024);
 * epoll.add(fd, place, generation);
 * for (let n = epoll.wait(1_000); n-- > 0; ) serve(epoll.low(n), epoll.high(n), epoll.what(n));
 */
export class Epoll {
  readonly #fd: number;
  /** Events that one `wait` gives at most. */
  readonly most: number;
  readonly #change = new Uint32Array(words);
  readonly #changeBytes = Buffer.from(this.#change.buffer);
  readonly #events: Uint32Array;
  readonly #eventBytes: Buffer;

  constructor(fd: number, most: number) {
    this.#fd = fd;
    this.most = most;
    this.#events = new Uint32Array(most * words);
    this.#eventBytes = Buffer.from(this.#events.buffer);
  }

  /**
   * Tells of what can be read, of the peer's end and of errors: each time that something of it is new (EPOLLET), and if there is some now.
   * The kernel then need not look a second time at what has been read meanwhile; whoever leaves something unread asks for it by `again`.
   *
   * @throws DeadpeerError `syscall-failed`.
   */
  add(fd: number, low: number, high: number): void {
    this.#control(EPOLL_CTL_ADD, fd, (usual | EPOLLET) >>> 0, low, high);
  }

  /** As `add`, but tells once, and then stays silent until `again`. @throws DeadpeerError `syscall-failed`. */
  addOnce(fd: number, low: number, high: number): void {
    this.#control(EPOLL_CTL_ADD, fd, usual | EPOLLONESHOT, low, high);
  }

  /** What is there now is told again, and from then on as by `add`; also for what `addOnce` added. @throws DeadpeerError `syscall-failed`. */
  again(fd: number, low: number, high: number): void {
    this.#control(EPOLL_CTL_MOD, fd, (usual | EPOLLET) >>> 0, low, high);
  }

  /**
   * A listening socket, which other sets may hold, too: all are told, each for as long as somebody waits there. With EPOLLEXCLUSIVE one
   * alone would be told, once; and where it has no room for who waits, nobody would come for them until somebody else arrives.
   *
   * @throws DeadpeerError `syscall-failed`.
   */
  addListener(fd: number, low: number, high: number): void {
    this.#control(EPOLL_CTL_ADD, fd, readiness.readable, low, high);
  }

  #control(operation: number, fd: number, what: number, low: number, high: number): void {
    this.#change[0] = what;
    this.#change[eventLayout.low] = low;
    this.#change[eventLayout.high] = high;
    check(
      libc().epoll_ctl(this.#fd, operation, fd, this.#changeBytes),
      controlNames[operation] ?? "epoll_ctl",
    );
  }

  /** @returns false: it was not in the set. The kernel takes out what is closed for good. */
  remove(fd: number): boolean {
    return libc().epoll_ctl(this.#fd, EPOLL_CTL_DEL, fd, null) === 0;
  }

  /** Blocks this thread. @returns how many events there are; a signal's interruption is none. @throws DeadpeerError `syscall-failed`. */
  wait(timeoutMs: number): number {
    const count = libc().epoll_wait(this.#fd, this.#eventBytes, this.most, timeoutMs);
    if (count < 0 && errnoName(lastErrno()) === "EINTR") return 0;
    return check(count, "epoll_wait");
  }

  /** Of an event of the last `wait`: the words that it was added with. */
  low(event: number): number {
    return this.#events[event * words + eventLayout.low] ?? 0;
  }

  high(event: number): number {
    return this.#events[event * words + eventLayout.high] ?? 0;
  }

  /** `readiness`, or-ed. */
  what(event: number): number {
    return this.#events[event * words] ?? 0;
  }
}
