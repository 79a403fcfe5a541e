import { type KeepaliveSettings, linuxLimits } from "./settings.js";

/**
 * The longest idle time that keeps a flow alive in a box: five sixths of its timeout. The sixth left holds the lateness of
 * our timer (up to an eighth, see timer-wheel) and of the box's; and the repeat of a lost probe has to go out in time, too.
 *
 * @example longestIdleMs(350_000, 10_000) // 291000, for an AWS NLB
 */
export function longestIdleMs(boxIdleMs: number, intervalMs: number = linuxLimits.intervalMs.min): number {
  const repeatInTimeMs = boxIdleMs - intervalMs - 1;
  const idleMs = Math.floor(Math.min((boxIdleMs * 5) / 6, repeatInTimeMs) / 1_000) * 1_000;
  return Math.max(idleMs, 0);
}

/** Whether a probe, and if it is lost its repeat, goes out before the box forgets. */
export function keepsFlow({ idleMs, intervalMs }: KeepaliveSettings, boxIdleMs: number): boolean {
  return idleMs + intervalMs < boxIdleMs;
}
