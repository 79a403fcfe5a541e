import type { TimerClock } from "../../time/clock.js";
import { Shift, type Tenant, type Terms } from "./shift.js";

export interface LotOptions {
  readonly clock: TimerClock;
  /** Sessions at a time. */
  readonly capacity: number;
  /** Time for one beat of a session; who is quicker is handed back. */
  readonly beatEveryMs: number;
  readonly watchMs?: number;
  readonly worker?: URL;
}

/** A parked session: with which worker, and where there. */
export interface Place {
  readonly shift: Shift;
  readonly slot: number;
}

/** Failures within a minute after which no worker is started any more. */
const mostFailures = 3;
const minuteMs = 60_000;

/**
 * Where sessions are parked: one worker thread, started when it is first needed, and again if it fails.
 *
 * @example
 * const lot = new Lot({ clock, capacity: 100_000, beatEveryMs: 100 });
 * const place = lot.park(fd, tenant, terms); // null: not now
 */
export class Lot {
  readonly #options: LotOptions;
  #shift: Shift | null = null;
  #failures: number[] = [];
  #closed = false;

  constructor(options: LotOptions) {
    this.#options = options;
  }

  get parked(): number {
    return this.#shift?.parked ?? 0;
  }

  /** Workers lost in the last minute. */
  get failures(): number {
    return this.#failures.length;
  }

  /** Whether sessions can be parked right now; starts what is needed for it. */
  get open(): boolean {
    if (this.#closed) return false;
    if (this.#shift === null && this.#mayStart()) this.#start();
    return this.#shift?.ready === true;
  }

  /** @returns null: there is no room, and the descriptor stays the caller's. See `Shift.park`. */
  park(fd: number, tenant: Tenant, terms: Terms): Place | null {
    const shift = this.open ? this.#shift : null;
    const slot = shift?.park(fd, tenant, terms) ?? -1;
    if (shift === null || slot < 0) return null;
    return { shift, slot };
  }

  /** Until nobody is parked any more, so long at most. */
  async emptied(mostMs: number): Promise<void> {
    const { clock } = this.#options;
    const untilMs = clock.monotonic() + mostMs;
    while (this.parked > 0 && clock.monotonic() < untilMs)
      await new Promise<void>((resolve) => {
        clock.set(resolve, 5);
      });
  }

  /** Ends the worker; whoever is parked yet is handed back as taken over. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#shift?.close();
  }

  #mayStart(): boolean {
    const since = this.#options.clock.monotonic() - minuteMs;
    this.#failures = this.#failures.filter((at) => at > since);
    return this.#failures.length < mostFailures;
  }

  #start(): void {
    const { watchMs = 2_000, ...options } = this.#options;
    try {
      this.#shift = new Shift({ ...options, watchMs, onEnd: () => this.#ended() });
    } catch {
      // No descriptors left: sessions stay where they are, and the next try may have more luck.
      this.#failures.push(this.#options.clock.monotonic());
    }
  }

  #ended(): void {
    this.#shift = null;
    if (!this.#closed) this.#failures.push(this.#options.clock.monotonic());
  }
}
