import { check, libc } from "./libc.js";

/**
 * A file descriptor with one owner. Closing twice is harmless; `using` closes at the end of the block.
 *
 * @example
 * using socket = new OwnedFd(check(libc().socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG), "socket"));
 */
export class OwnedFd implements Disposable {
  #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** The number, for system calls; -1 once closed. */
  get fd(): number {
    return this.#fd;
  }

  close(): void {
    if (this.#fd < 0) return;
    const fd = this.#fd;
    this.#fd = -1;
    check(libc().close(fd), "close");
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
