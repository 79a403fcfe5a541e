/**
 * The round trip to one origin, smoothed as TCP smooths it (RFC 6298, section 2): every sample moves the average by an eighth of
 * what it is off, and the deviation by a quarter.
 */
export class RoundTrip {
  #smoothedMs: number | null = null;
  #deviationMs = 0;

  /** @param sampleMs one round trip, e.g. the time that TCP took to connect. */
  add(sampleMs: number): void {
    if (!(sampleMs >= 0)) return;
    if (this.#smoothedMs === null) {
      this.#smoothedMs = sampleMs;
      this.#deviationMs = sampleMs / 2;
      return;
    }
    this.#deviationMs += (Math.abs(this.#smoothedMs - sampleMs) - this.#deviationMs) / 4;
    this.#smoothedMs += (sampleMs - this.#smoothedMs) / 8;
  }

  /** The average; null before the first sample. */
  get smoothedMs(): number | null {
    return this.#smoothedMs;
  }

  /** The round trip that hardly any is longer than: the average and four deviations, as in TCP's retransmission timeout. */
  get longestMs(): number {
    return (this.#smoothedMs ?? 0) + 4 * this.#deviationMs;
  }
}
