import type { TimerClock } from "./clock.js";
import { Deadlines, type DeadlinesOptions } from "./deadlines.js";

export interface TimersOptions extends Omit<DeadlinesOptions, "onDue" | "onStandstill"> {
  /** As with `onStandstill`; more can listen with that. */
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
 * Any number of deadlines, with something to do at each, on one timer of the clock (see Deadlines).
 *
 * @example
 * using timers = new Timers({ clock: systemClock });
 * const idle = timers.timer(() => socket.destroy());
 * socket.on("data", () => idle.set(30_000));
 */
export class Timers implements Disposable {
  readonly clock: TimerClock;
  readonly #deadlines: Deadlines;
  readonly #callbacks: ((() => void) | null)[] = [];
  readonly #free: number[] = [];
  readonly #standstill = new Set<(lateMs: number) => void>();

  constructor({ onStandstill, ...options }: TimersOptions) {
    this.clock = options.clock;
    if (onStandstill !== undefined) this.#standstill.add(onStandstill);
    this.#deadlines = new Deadlines({
      ...options,
      onDue: (entry) => this.#callbacks[entry]?.(),
      onStandstill: (lateMs) => {
        for (const listener of this.#standstill) listener(lateMs);
      },
    });
  }

  /** How many timers are set. */
  get size(): number {
    return this.#deadlines.size;
  }

  /** A timer, not yet set. An error that `callback` throws goes the way of any timer's; the other timers go on. */
  timer(callback: () => void): Timer {
    const entry = this.#free.pop() ?? this.#callbacks.length;
    this.#callbacks[entry] = callback;
    let open = true;
    const close = (): void => {
      if (!open) return;
      open = false;
      this.#deadlines.delete(entry);
      this.#callbacks[entry] = null;
      this.#free.push(entry);
    };
    return {
      set: (delayMs) => {
        if (open) this.#deadlines.set(entry, this.clock.monotonic() + delayMs);
      },
      clear: () => {
        if (open) this.#deadlines.delete(entry);
      },
      close,
      [Symbol.dispose]: close,
    };
  }

  /**
   * Tells, before anything fires, that this process or its machine stood still for a second or more.
   *
   * @returns what stops telling.
   */
  onStandstill(listener: (lateMs: number) => void): () => void {
    this.#standstill.add(listener);
    return () => this.#standstill.delete(listener);
  }

  /** Nothing fires any more. */
  close(): void {
    this.#deadlines.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

const shared = new WeakMap<TimerClock, Timers>();

/** The timers that everybody in this process shares who measures time by the same clock. */
export function timersOf(clock: TimerClock): Timers {
  const present = shared.get(clock);
  if (present !== undefined) return present;
  const timers = new Timers({ clock });
  shared.set(clock, timers);
  return timers;
}
