import { socketCookie } from "../../kernel/socket-cookie.js";

/**
 * Which slot has which descriptor. Numbers are used again at once, and anybody in the process can close one that is not his: so a number
 * counts only together with the cookie of the socket that it stood for.
 *
 * @example
 * const claims = new Claims(1_000);
 * const squatter = claims.stake(slot, fd, cookie); // -1: as it should be
 * const ours = claims.drop(slot, fd);
 */
export class Claims {
  readonly #cookies: BigUint64Array;
  /** The slot of each descriptor, plus one. */
  #slotOf = new Int32Array(1_024);

  constructor(capacity: number) {
    this.#cookies = new BigUint64Array(capacity);
  }

  /**
   * @returns the slot that had this number; -1: none. The kernel gives no number twice, so that one's was closed by somebody else.
   */
  stake(slot: number, fd: number, cookie: bigint): number {
    const squatter = (this.#slotOf[fd] ?? 0) - 1;
    this.#cookies[slot] = cookie;
    this.#note(fd, slot + 1);
    return squatter;
  }

  /** @param fd -1: it has none any more. @returns whether the number still stands for the socket that it stood for. */
  drop(slot: number, fd: number): boolean {
    if (fd < 0) return false;
    this.#note(fd, 0);
    return socketCookie(fd) === this.#cookies[slot];
  }

  #note(fd: number, value: number): void {
    if (fd >= this.#slotOf.length) {
      const roomier = new Int32Array(2 ** Math.ceil(Math.log2(fd + 1)));
      roomier.set(this.#slotOf);
      this.#slotOf = roomier;
    }
    this.#slotOf[fd] = value;
  }
}
