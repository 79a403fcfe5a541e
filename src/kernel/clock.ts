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

const machineMs = (): number => Number(process.hrtime.bigint()) / 1e6;

/**
 * How far a monotonic clock is ahead of the machine's own (hrtime), which all threads have in common: performance.now() counts from each
 * thread's start. Read between two looks at the machine's, the closest of a few tries, for a thread may lose its core in between.
 *
 * @example const now = () => performance.now() + (zeroMs - aheadOfMachineMs(() => performance.now()));
 */
export function aheadOfMachineMs(nowMs: () => number): number {
  let closestMs = Number.POSITIVE_INFINITY;
  let aheadMs = 0;
  for (let tries = 0; tries < 10; tries++) {
    const beforeMs = machineMs();
    const ownMs = nowMs();
    const afterMs = machineMs();
    if (afterMs - beforeMs >= closestMs) continue;
    closestMs = afterMs - beforeMs;
    aheadMs = ownMs - (beforeMs + afterMs) / 2;
  }
  return aheadMs;
}
