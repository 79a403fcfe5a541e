/** What is known about one network: how long a silence its boxes remember a connection for. */
export interface LearnedInterval {
  /** The longest silence that a connection has survived. */
  readonly goodMs: number;
  /** The shortest silence after which one was lost, twice in a row; null: none was yet. */
  readonly badMs: number | null;
  /** When one of the two last changed, or was confirmed, in milliseconds since 1970. */
  readonly at: number;
}

export interface AdaptiveOptions {
  /** Where to begin, and never to go below. */
  readonly floorMs: number;
  /** Never to go above. */
  readonly ceilingMs: number;
  /** How far good and bad may stay apart: the bracket in which the truth is left. */
  readonly resolutionMs?: number;
  /** Silences of one length that must have been survived before a longer one is tried. */
  readonly successes?: number;
  /** Connections that must have been lost after silences of one length before that is called too long. */
  readonly failures?: number;
  /** Knowledge that nothing has confirmed for so long is forgotten: networks change. */
  readonly staleMs?: number;
  /** What was learned before. */
  readonly known?: LearnedInterval | null;
  readonly now: number;
}

/**
 * Learns how long a path may be left silent: the longest interval between beats at which no NAT or firewall on it forgets the
 * connection. It climbs from the floor by half until a connection is lost, then halves the bracket.
 *
 * Only a silence tells anything, so only a beat after one counts. One loss proves nothing, for peers and networks fail for other
 * reasons: the same length is tried once more, and only the second loss in a row is believed. What was good stays good.
 *
 * Pure: the caller says what time it is.
 *
 * @example
 * const adaptive = new AdaptiveInterval({ floorMs: 10_000, ceilingMs: 600_000, now: Date.now() });
 * wait(adaptive.intervalMs);
 * answered ? adaptive.survived(silenceMs, Date.now()) : adaptive.lost(silenceMs, Date.now());
 */
export class AdaptiveInterval {
  readonly #options: Required<Omit<AdaptiveOptions, "known" | "now">>;
  #goodMs: number;
  #badMs: number | null;
  #at: number;
  #triedMs: number;
  #survived = 0;
  #lost = 0;

  constructor({ known = null, now, ...options }: AdaptiveOptions) {
    this.#options = { resolutionMs: 2_500, successes: 1, failures: 2, staleMs: 7 * 86_400_000, ...options };
    this.#goodMs = options.floorMs;
    this.#badMs = null;
    this.#at = now;
    if (known !== null && now - known.at < this.#options.staleMs) {
      this.#goodMs = Math.min(Math.max(known.goodMs, options.floorMs), options.ceilingMs);
      this.#badMs = known.badMs !== null && known.badMs > this.#goodMs ? known.badMs : null;
      this.#at = known.at;
    }
    this.#triedMs = this.#goodMs;
  }

  /** How long to be silent before the next beat. */
  get intervalMs(): number {
    return this.#triedMs;
  }

  /** Whether there is nothing left to find out. */
  get settled(): boolean {
    return this.#next() === this.#goodMs;
  }

  /** What to keep for the next time. */
  get learned(): LearnedInterval {
    return { goodMs: this.#goodMs, badMs: this.#badMs, at: this.#at };
  }

  /** A beat was answered after nothing had gone either way for `silenceMs`. */
  survived(silenceMs: number, now: number): void {
    this.#forgetStale(now);
    if (silenceMs >= this.#triedMs) this.#lost = 0;
    if (silenceMs < this.#goodMs) return;
    this.#at = now;
    if (silenceMs >= this.#triedMs && ++this.#survived < this.#options.successes) return;
    // Timers are a little late each time: that is no longer silence than was tried, and must not add up.
    const late = silenceMs - this.#triedMs < this.#options.resolutionMs;
    this.#goodMs = Math.min(late ? Math.min(silenceMs, this.#triedMs) : silenceMs, this.#options.ceilingMs);
    // What was called too long has just been survived: that knowledge is of another day, or another path.
    if (this.#badMs !== null && this.#badMs <= this.#goodMs) this.#badMs = null;
    this.#try(this.#next());
  }

  /**
   * The first beat after a silence of `silenceMs` was not answered, and the connection was lost with it. Whoever lost it for a reason
   * that is known (an error of the link, a peer that said goodbye, traffic shortly before) does not report it.
   */
  lost(silenceMs: number, now: number): void {
    this.#forgetStale(now);
    // A silence that others have survived was not the reason.
    if (silenceMs < this.#goodMs) return;
    if (++this.#lost < this.#options.failures) return;
    this.#badMs = Math.min(silenceMs, this.#badMs ?? Number.POSITIVE_INFINITY);
    this.#at = now;
    // What was good has failed now, so how much less would be is not known: begin anew from the floor.
    if (this.#badMs <= this.#goodMs) this.#goodMs = this.#options.floorMs;
    this.#try(this.#next());
  }

  #try(intervalMs: number): void {
    this.#triedMs = intervalMs;
    this.#survived = 0;
    this.#lost = 0;
  }

  #next(): number {
    const { ceilingMs, resolutionMs } = this.#options;
    if (this.#badMs === null) return Math.min(this.#goodMs * 1.5, ceilingMs);
    return this.#badMs - this.#goodMs <= resolutionMs ? this.#goodMs : (this.#goodMs + this.#badMs) / 2;
  }

  #forgetStale(now: number): void {
    if (now - this.#at < this.#options.staleMs) return;
    this.#badMs = null;
    this.#goodMs = this.#options.floorMs;
    this.#try(this.#goodMs);
    this.#at = now;
  }
}
