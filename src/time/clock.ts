/** Where everything that measures time takes it from; tests give a VirtualClock. */
export interface Clock {
  /** Milliseconds since 1970, as people's clocks show it: it may be set, forwards or back, and goes on while a machine sleeps. */
  now(): number;
  /** Milliseconds from any fixed moment, on a clock that never jumps and stands still while the machine sleeps. */
  monotonic(): number;
}

/** A clock that can also be waited for. */
export interface TimerClock extends Clock {
  /**
   * Calls back once, `delayMs` from now at the earliest: not within this call, and late where the process is busy.
   *
   * @returns what `clear` takes.
   */
  set(callback: () => void, delayMs: number): ClockTimer;
  /** Does nothing to a timer that has fired or was cleared. */
  clear(timer: ClockTimer): void;
}

/** A timer of the clock that made it, and of no meaning to others. */
export type ClockTimer = object;
