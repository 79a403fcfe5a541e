/**
 * Time since the first packet of a capture, in nanoseconds: exact in a double for 104 days, where nanoseconds since 1970 are not
 * exact at all. Each interface of a pcapng file may count in its own unit and from its own offset.
 */
export class CaptureClock {
  #firstNs: bigint | null = null;

  /** When the first packet was taken, milliseconds since 1970; 0 before there is one. */
  get firstMs(): number {
    return this.#firstNs === null ? 0 : Number(this.#firstNs / 1_000n) / 1_000;
  }

  /** How long after the first packet of all this moment was; the first one asked about becomes the first. */
  since(absoluteNs: bigint): number {
    this.#firstNs ??= absoluteNs;
    return Number(absoluteNs - this.#firstNs);
  }
}

/** Time stamps of one interface: 64 bits of ticks in two halves. */
export class TickClock {
  readonly #clock: CaptureClock;
  readonly #ticksPerSecond: bigint;
  readonly #nsPerTick: number;
  readonly #offsetSeconds: bigint;
  #started = false;
  #firstHigh = 0;
  #firstLow = 0;
  #startNs = 0;

  constructor(clock: CaptureClock, ticksPerSecond: bigint, offsetSeconds: bigint) {
    this.#clock = clock;
    this.#ticksPerSecond = ticksPerSecond;
    this.#nsPerTick = 1e9 / Number(ticksPerSecond);
    this.#offsetSeconds = offsetSeconds;
  }

  /** Nanoseconds since the capture's first packet. */
  at(high: number, low: number): number {
    if (!this.#started) this.#start(high, low);
    return this.#startNs + ((high - this.#firstHigh) * 2 ** 32 + (low - this.#firstLow)) * this.#nsPerTick;
  }

  #start(high: number, low: number): void {
    const ticks = (BigInt(high) << 32n) | BigInt(low);
    const absoluteNs = (ticks * 1_000_000_000n) / this.#ticksPerSecond + this.#offsetSeconds * 1_000_000_000n;
    this.#startNs = this.#clock.since(absoluteNs);
    this.#firstHigh = high;
    this.#firstLow = low;
    this.#started = true;
  }
}
