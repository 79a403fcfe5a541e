import type { ClockTimer, TimerClock } from "./clock.js";
import { TimerWheel, type TimerWheelOptions } from "./timer-wheel.js";

/** So many are handed over at a time; between two times the process reads what has arrived. */
const batch = 1_000;
/** From here on it is not certain that everything was read that had arrived before a deadline. */
const untidyMs = 50;
/** From here on this process, or its machine, stood still: no scheduler is that untidy. */
export const standstillMs = 1_000;
/** Timers of JavaScript count in 32 bits; whoever waits longer looks once more in between. */
const longestWaitMs = 2 ** 31 - 1;

export interface DeadlinesOptions extends Omit<TimerWheelOptions, "startMs"> {
  readonly clock: TimerClock;
  /** Told of each deadline that has come; it is deleted by then. */
  readonly onDue: (entry: number) => void;
  /**
   * Told, before anything is handed over, that the clock's timer came a second late or more, or that the machine slept meanwhile:
   * what looks overdue may only have waited for us.
   */
  readonly onStandstill?: (lateMs: number) => void;
}

/**
 * Very many deadlines on one timer of the clock, each under a small whole number that the caller gives it (see TimerWheel). They are
 * counted from the clock and not from the timer that fired last, so nothing drifts. One that is handed over late lets the process
 * read first what has arrived by then; very many at once, as after a pause, come in portions.
 *
 * @example
 * using deadlines = new Deadlines({ clock: systemClock, onDue: (index) => sessions[index].look() });
 * deadlines.set(session.index, clock.monotonic() + 30_000);
 */
export class Deadlines implements Disposable {
  readonly #clock: TimerClock;
  readonly #wheel: TimerWheel;
  readonly #onDue: (entry: number) => void;
  readonly #onStandstill: ((lateMs: number) => void) | undefined;
  /** The one timer of the clock, and when it ought to fire. */
  #armed: { readonly timer: ClockTimer; readonly dueMs: number } | null = null;
  /** How far people's clock is ahead of the monotonic one: it grows while the machine sleeps. */
  #aheadMs: number;
  #handing = false;
  #closed = false;

  constructor({ clock, onDue, onStandstill, ...wheel }: DeadlinesOptions) {
    this.#clock = clock;
    this.#onDue = onDue;
    this.#onStandstill = onStandstill;
    this.#wheel = new TimerWheel({ ...wheel, startMs: clock.monotonic() });
    this.#aheadMs = clock.now() - clock.monotonic();
  }

  /** How many deadlines are set. */
  get size(): number {
    return this.#wheel.size;
  }

  /** Sets or moves an entry's deadline, on the clock's monotonic time. */
  set(entry: number, atMs: number): void {
    this.#wheel.set(entry, atMs);
    if (!this.#handing) this.#arm();
  }

  /** With nothing to wait for no timer is left over, which would keep the process from ending. */
  delete(entry: number): void {
    this.#wheel.delete(entry);
    if (this.#wheel.size === 0) this.#disarm();
  }

  /** Nothing is handed over any more. */
  close(): void {
    this.#closed = true;
    this.#disarm();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #disarm(): void {
    if (this.#armed !== null) this.#clock.clear(this.#armed.timer);
    this.#armed = null;
  }

  /** Makes sure that the clock's timer fires when the wheel next has something to do. One that fires earlier stays as it is. */
  #arm(): void {
    const nextMs = this.#closed ? null : this.#wheel.nextMs();
    if (nextMs === null) return;
    const nowMs = this.#clock.monotonic();
    this.#wake(Math.min(Math.max(0, nextMs - nowMs), longestWaitMs));
  }

  #wake(delayMs: number, fire = () => this.#onTimer()): void {
    // With nothing set for a while nobody has looked at the clocks; what they did meanwhile is no standstill of any wait.
    if (this.#armed === null && this.#wheel.size === 1) this.#sleptMs();
    const dueMs = this.#clock.monotonic() + delayMs;
    if (this.#armed !== null && this.#armed.dueMs <= dueMs) return;
    this.#disarm();
    this.#armed = { timer: this.#clock.set(fire, delayMs), dueMs };
  }

  #onTimer(): void {
    const lateMs = this.#clock.monotonic() - (this.#armed?.dueMs ?? 0);
    this.#armed = null;
    const stoodMs = Math.max(lateMs, this.#sleptMs());
    if (stoodMs < untidyMs) {
      this.#hand();
      return;
    }
    if (stoodMs >= standstillMs) this.#onStandstill?.(stoodMs);
    // The event loop runs timers before it looks at sockets: what proves a peer alive may lie there unread.
    this.#wake(0, () => {
      this.#armed = null;
      this.#hand();
    });
  }

  /** How long the machine slept since the last look. A clock that was set forward looks the same, and costs a little patience. */
  #sleptMs(): number {
    const aheadMs = this.#clock.now() - this.#clock.monotonic();
    const sleptMs = aheadMs - this.#aheadMs;
    this.#aheadMs = aheadMs;
    return sleptMs >= standstillMs ? sleptMs : 0;
  }

  #hand(): void {
    this.#handing = true;
    try {
      this.#wheel.advance(this.#clock.monotonic(), this.#onDue, batch);
    } finally {
      this.#handing = false;
      this.#arm();
    }
  }
}
