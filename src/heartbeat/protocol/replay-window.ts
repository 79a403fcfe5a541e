/** So far behind the newest a datagram may come; RFC 6479 and IPsec take the same size. */
const size = 64;

/**
 * Which sequence numbers have been seen: each datagram counts once, in whatever order they come, and an old one not at all.
 *
 * @example if (!window.take(sequence)) return; // seen before, or too old
 */
export class ReplayWindow {
  #newest = 0;
  /** Of the 64 up to the newest, in two halves; bit 0 of `#near` is the newest. */
  #near = 0;
  #far = 0;

  /** @returns false if the number has been seen, or is too old to know. Ask only for what is authentic. */
  take(sequence: number): boolean {
    if (!Number.isSafeInteger(sequence) || sequence < 1) return false;
    const ahead = sequence - this.#newest;
    if (ahead > 0) {
      this.#shift(ahead);
      this.#newest = sequence;
      this.#near |= 1;
      return true;
    }
    const behind = -ahead;
    if (behind >= size) return false;
    const bit = 1 << (behind & 31);
    const seen = ((behind < 32 ? this.#near : this.#far) & bit) !== 0;
    if (behind < 32) this.#near |= bit;
    else this.#far |= bit;
    return !seen;
  }

  #shift(by: number): void {
    if (by >= size) {
      this.#far = 0;
      this.#near = 0;
    } else if (by >= 32) {
      // Shifts of JavaScript count modulo 32.
      this.#far = this.#near << (by - 32);
      this.#near = 0;
    } else {
      this.#far = (this.#far << by) | (this.#near >>> (32 - by));
      this.#near <<= by;
    }
  }
}
