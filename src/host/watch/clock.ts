/** CLOCK_MONOTONIC in milliseconds, the clock of trace events: performance.now() counts from the start of this process instead. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** What people's clock showed at a moment of the monotonic one, milliseconds since 1970. */
export function wallClockAt(atMs: number): number {
  return Date.now() - (monotonicMs() - atMs);
}
