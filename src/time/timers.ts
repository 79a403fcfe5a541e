import type { ClockTimer, TimerClock } from "./clock.js";
import { TimerWheel, type TimerWheelOptions } from "./timer-wheel.js";

/** So many fire at a time; between two times the process reads what has arrived. */
const batch = 1_000;
/** From here on it is not certain that everything was read that had arrived before a timer was due. */
const untidyMs = 50;
/** Timers of JavaScript count in 32 bits; whoever waits longer looks once more in between. */
const longestWaitMs = 2 ** 31 - 1;

export interface TimersOptions extends Omit<TimerWheelOptions, "startMs"> {
  readonly clock: TimerClock;
  /**
   * Told, before anything fires, that the clock's timer came a second late or more: this process or the machine stood still, and
   * what looks overdue may only have waited for us.
   */
  readonly onStandstill?: (lateMs: number) => void;
}

/** One deadline at a time, for as often as it is wanted. */
export interface Timer extends Disposable {
  /** Fires `delayMs` from now, in place of any time set before. */
  set(delayMs: number): void;
  /** Fires no more until it is set again. */
  clear(): void;
  /** Gives its place back. Setting it afterwards does nothing. */
  close(): void;
}

/**
 * Any number of deadlines, with something to do at each, on one timer of the clock. They are counted from the clock and not from
 * the timer that fired last, so nothing drifts. One that fires late lets the process read first what has arrived by then; very
 * many at once, as after a pause, fire in portions.
 *
 * @example
 * using timers = new Timers({ clock: systemClock });
 * const idle = timers.timer(() => socket.destroy());
 * socket.on("data", () => idle.set(30_000));
 */
export class Timers implements Disposable {
  readonly #clock: TimerClock;
  readonly #wheel: TimerWheel;
  readonly #onStandstill: ((lateMs: number) => void) | undefined;
  readonly #callbacks: ((() => void) | null)[] = [];
  readonly #free: number[] = [];
  /** The one timer of the clock, and when it ought to fire. */
  #armed: { readonly timer: ClockTimer; readonly dueMs: number } | null = null;
  #firing = false;
  #closed = false;

  constructor({ clock, onStandstill, ...wheel }: TimersOptions) {
    this.#clock = clock;
    this.#onStandstill = onStandstill;
    this.#wheel = new TimerWheel({ ...wheel, startMs: clock.monotonic() });
  }

  /** How many timers are set. */
  get size(): number {
    return this.#wheel.size;
  }

  /** A timer, not yet set. An error that `callback` throws goes the way of any timer's; the other timers go on. */
  timer(callback: () => void): Timer {
    const entry = this.#free.pop() ?? this.#callbacks.length;
    this.#callbacks[entry] = callback;
    let open = true;
    const close = (): void => {
      if (!open) return;
      open = false;
      this.#delete(entry);
      this.#callbacks[entry] = null;
      this.#free.push(entry);
    };
    return {
      set: (delayMs) => {
        if (open) this.#set(entry, delayMs);
      },
      clear: () => {
        if (open) this.#delete(entry);
      },
      close,
      [Symbol.dispose]: close,
    };
  }

  /** Nothing fires any more. */
  close(): void {
    this.#closed = true;
    this.#disarm();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #set(entry: number, delayMs: number): void {
    this.#wheel.set(entry, this.#clock.monotonic() + delayMs);
    if (!this.#firing) this.#arm();
  }

  /** With nothing to wait for no timer is left over, which would keep the process from ending. */
  #delete(entry: number): void {
    this.#wheel.delete(entry);
    if (this.#wheel.size === 0) this.#disarm();
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
    const dueMs = this.#clock.monotonic() + delayMs;
    if (this.#armed !== null && this.#armed.dueMs <= dueMs) return;
    this.#disarm();
    this.#armed = { timer: this.#clock.set(fire, delayMs), dueMs };
  }

  #onTimer(): void {
    const lateMs = this.#clock.monotonic() - (this.#armed?.dueMs ?? 0);
    this.#armed = null;
    if (lateMs < untidyMs) {
      this.#fire();
      return;
    }
    if (lateMs >= 1_000) this.#onStandstill?.(lateMs);
    // The event loop runs timers before it looks at sockets: what proves a peer alive may lie there unread.
    this.#wake(0, () => {
      this.#armed = null;
      this.#fire();
    });
  }

  #fire(): void {
    this.#firing = true;
    try {
      this.#wheel.advance(this.#clock.monotonic(), (entry) => this.#callbacks[entry]?.(), batch);
    } finally {
      this.#firing = false;
      this.#arm();
    }
  }
}
