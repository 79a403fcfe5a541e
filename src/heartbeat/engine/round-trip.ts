/** How long answers to beats take. */
export interface RoundTripFigures {
  readonly samples: number;
  readonly lastUs: number;
  readonly minUs: number;
  /** Smoothed as TCP smooths its own (RFC 6298 section 2). */
  readonly smoothedUs: number;
  /** How far one answer's time is from the next one's, smoothed likewise: what RFC 3550 calls jitter. */
  readonly jitterUs: number;
}

/**
 * Gathers round-trip times.
 *
 * @example
 * roundTrip.add(1_250);
 * roundTrip.figures()?.smoothedUs
 */
export class RoundTrip {
  #samples = 0;
  #lastUs = 0;
  #minUs = Number.POSITIVE_INFINITY;
  #smoothedUs = 0;
  #jitterUs = 0;

  /** @param us the time from a beat to its answer; of a beat that was sent once only, for else it is not known which was answered. */
  add(us: number): void {
    if (!(us >= 0)) return;
    if (this.#samples === 0) this.#smoothedUs = us;
    else {
      this.#smoothedUs += (us - this.#smoothedUs) / 8;
      this.#jitterUs += (Math.abs(us - this.#lastUs) - this.#jitterUs) / 16;
    }
    this.#samples++;
    this.#lastUs = us;
    this.#minUs = Math.min(this.#minUs, us);
  }

  /** @returns null before the first answer. */
  figures(): RoundTripFigures | null {
    if (this.#samples === 0) return null;
    return {
      samples: this.#samples,
      lastUs: Math.round(this.#lastUs),
      minUs: Math.round(this.#minUs),
      smoothedUs: Math.round(this.#smoothedUs),
      jitterUs: Math.round(this.#jitterUs),
    };
  }
}
