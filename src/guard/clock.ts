/** Where a guard takes its time from; tests give their own. */
export interface GuardClock {
  /** Milliseconds since 1970, as people's clocks show it. */
  now(): number;
  /** Milliseconds from any fixed moment, on a clock that stands still while the machine sleeps and never jumps. */
  monotonic(): number;
}

/** performance.now is CLOCK_MONOTONIC on Linux: it does not count suspension, Date does. */
export const systemClock: GuardClock = { now: () => Date.now(), monotonic: () => performance.now() };
