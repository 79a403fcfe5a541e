import { latestMs } from "../plan/timer-wheel.js";

/** Below this, clocks and schedulers are merely untidy. */
const worthMentioningMs = 1_000;

/** What the clocks say about the time between two moments. */
export interface Elapsed {
  readonly wallMs: number;
  readonly monotonicMs: number;
}

/**
 * For how long the machine was suspended: people's clock went on, the monotonic one stood still. A clock that was set by hand
 * looks the same, which is one reason why a verdict that leans on this is only `likely`. null: not worth mentioning.
 */
export function suspendedMs({ wallMs, monotonicMs }: Elapsed): number | null {
  return worthMentioning(wallMs - monotonicMs);
}

/**
 * For how long the process did not look, after the kernel had ended an idle connection: the kernel's clocks went on, so the
 * silence is longer than the settings allow. `guardedMs` bounds it, for keepalive may have been switched on late in a silence.
 */
export function lateMs(silentMs: number, guardedMs: number, expectedMs: number): number | null {
  return worthMentioning(Math.min(silentMs, guardedMs) - latestMs(expectedMs));
}

function worthMentioning(ms: number): number | null {
  return ms >= worthMentioningMs ? Math.round(ms) : null;
}
