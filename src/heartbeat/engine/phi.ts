/** So many of the latest waits are kept. */
const window = 128;
/** A peer as regular as a clock is still allowed to be untidy. */
const leastDeviation = 0.1;

export interface PhiOptions {
  /** How long a wait is expected to be before any was seen. */
  readonly firstMs: number;
  /** Added to what was seen, for a peer that pauses now and then, e.g. to collect garbage. */
  readonly pauseMs?: number;
}

/**
 * How suspicious a silence is, judged by how regular the peer has been: the phi accrual failure detector (Hayashibara, Défago, Yared
 * and Katayama, 2004). A level of 1 is wrong one time in ten, 2 one time in a hundred, 8 one time in a hundred million.
 *
 * Pure: the caller says what time it is.
 *
 * @example
 * const phi = new Phi({ firstMs: 20_000 });
 * phi.heard(now);
 * if (phi.level(now) > 8) suspect();
 */
export class Phi {
  readonly #pauseMs: number;
  readonly #waits: number[];
  #oldest = 0;
  #heardMs: number | null = null;

  constructor({ firstMs, pauseMs = 0 }: PhiOptions) {
    this.#pauseMs = pauseMs;
    // Two guesses with a wide spread, which real ones soon outweigh.
    this.#waits = [firstMs * 0.75, firstMs * 1.25];
  }

  heard(nowMs: number): void {
    if (this.#heardMs !== null) this.#keep(nowMs - this.#heardMs);
    this.#heardMs = nowMs;
  }

  /** A wait in which this side stood still tells nothing about the peer. */
  stoodStill(nowMs: number): void {
    if (this.#heardMs !== null) this.#heardMs = nowMs;
  }

  /** From 0 on; 0 while nothing was ever heard. */
  level(nowMs: number): number {
    return this.#heardMs === null ? 0 : this.#levelAfter(nowMs - this.#heardMs);
  }

  /** When the level is reached, if nothing is heard until then; the next millisecond, for it is found by halving. */
  reaches(level: number): number {
    if (this.#heardMs === null) return Number.POSITIVE_INFINITY;
    let [before, after] = [0, 1];
    while (this.#levelAfter(after) < level) [before, after] = [after, after * 2];
    while (after - before > 1) {
      const middle = (before + after) / 2;
      if (this.#levelAfter(middle) < level) before = middle;
      else after = middle;
    }
    return this.#heardMs + after;
  }

  #levelAfter(silentMs: number): number {
    const mean = this.#waits.reduce((sum, wait) => sum + wait, 0) / this.#waits.length;
    const variance = this.#waits.reduce((sum, wait) => sum + (wait - mean) ** 2, 0) / this.#waits.length;
    const deviation = Math.max(Math.sqrt(variance), mean * leastDeviation);
    return -log10Later((silentMs - mean - this.#pauseMs) / deviation);
  }

  #keep(waitMs: number): void {
    if (this.#waits.length < window) this.#waits.push(waitMs);
    else this.#waits[this.#oldest++ % window] = waitMs;
  }
}

/**
 * The logarithm of the chance that a wait is longer still, for a normal distribution and a distance in standard deviations: by the
 * logistic approximation of Bowling et al. (2009), whose logarithm does not run out of digits far out.
 */
function log10Later(distance: number): number {
  const exponent = distance * (1.5976 + 0.070566 * distance * distance);
  // log10(1 / (1 + e^x)), where e^x may be too large for a number.
  return exponent > 30 ? -exponent * Math.LOG10E : -Math.log10(1 + Math.exp(exponent));
}
