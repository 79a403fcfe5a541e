/**
 * The machine's clocks and timers, in the shape of time/'s TimerClock. On Linux `monotonic` is CLOCK_MONOTONIC, which does not
 * count suspension, while `now` does.
 */
export const systemClock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  set: (callback: () => void, delayMs: number): object => setTimeout(callback, delayMs),
  clear: (timer: object) => {
    clearTimeout(timer as NodeJS.Timeout);
  },
};
