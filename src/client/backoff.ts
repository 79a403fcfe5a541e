export interface BackoffOptions {
  /** The longest wait before the second attempt. */
  readonly firstMs: number;
  /** The longest wait of all. */
  readonly mostMs: number;
  /** From 0 to 1. */
  readonly random: () => number;
}

/**
 * How long to wait before the next attempt: any time up to a limit that doubles each time, so that clients that lost their server
 * at the same moment do not come back at the same moment ("full jitter", Brooker 2015).
 *
 * @example const delayMs = backoff.next();
 */
export class Backoff {
  readonly #options: BackoffOptions;
  #attempts = 0;

  constructor(options: BackoffOptions) {
    this.#options = options;
  }

  /** Attempts that failed since things last went well. */
  get attempts(): number {
    return this.#attempts;
  }

  next(): number {
    const { firstMs, mostMs, random } = this.#options;
    // 2^31 times any wait is longer than the most.
    const limitMs = Math.min(mostMs, firstMs * 2 ** Math.min(this.#attempts, 31));
    this.#attempts++;
    return random() * limitMs;
  }

  /** The connection has stood long enough. */
  reset(): void {
    this.#attempts = 0;
  }
}
