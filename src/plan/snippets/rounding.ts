import { formatDuration } from "../duration.js";
import { detectionTimes } from "../model.js";
import { linuxLimits, type Settings } from "../settings.js";

/** Keepalive as nearly every program wants it: whole seconds. */
export interface KeepaliveSeconds {
  readonly idleS: number;
  readonly intervalS: number;
  readonly count: number;
}

/** Settings in whole seconds, made so that they notice a dead peer no later than those they come from. */
export interface RoundedSettings {
  readonly keepalive: KeepaliveSeconds | null;
  /** 0: none. */
  readonly userTimeoutMs: number;
  readonly rtoMaxMs: number | undefined;
  /** What had to change, for people. */
  readonly notes: readonly string[];
}

/**
 * Rounds idle and interval down to whole seconds, at least one: shorter times notice sooner. Under a user timeout shorter
 * intervals can add up to *more* (death comes at the first probe tick at or after the timeout), so the timeout is lowered to
 * the last tick that is still in time.
 *
 * @example roundSettings({ keepalive: { idleMs: 1_500, intervalMs: 1_000, count: 3 }, userTimeoutMs: 0 }).keepalive?.idleS // 1
 */
export function roundSettings(settings: Settings): RoundedSettings {
  const { keepalive, userTimeoutMs, rtoMaxMs } = settings;
  if (keepalive === null) return { keepalive: null, userTimeoutMs, rtoMaxMs, notes: [] };

  const notes: string[] = [];
  const idleMs = wholeSecondMs(keepalive.idleMs);
  const intervalMs = wholeSecondMs(keepalive.intervalMs);
  if (idleMs !== keepalive.idleMs)
    notes.push(`idle ${keepalive.idleMs} ms is rounded to ${idleMs / 1_000} s; options take whole seconds`);
  if (intervalMs !== keepalive.intervalMs)
    notes.push(
      `interval ${keepalive.intervalMs} ms is rounded to ${intervalMs / 1_000} s; options take whole seconds`,
    );

  const wantedMs = detectionTimes(settings).idleMs ?? 0;
  let roundedUserTimeoutMs = userTimeoutMs;
  if (userTimeoutMs > 0 && wantedMs < idleMs + intervalMs * ticksUntil(userTimeoutMs, idleMs, intervalMs)) {
    const ticks = Math.max(1, Math.floor((wantedMs - idleMs) / intervalMs));
    roundedUserTimeoutMs = Math.min(userTimeoutMs, idleMs + intervalMs * ticks);
    if (roundedUserTimeoutMs !== userTimeoutMs)
      notes.push(
        `user timeout ${userTimeoutMs} ms is lowered to ${roundedUserTimeoutMs} ms, so that the rounded times still notice within ${formatDuration(wantedMs)}`,
      );
  }
  const rounded = { keepalive: { ...keepalive, idleMs, intervalMs }, userTimeoutMs: roundedUserTimeoutMs };
  const reachedMs = detectionTimes(rounded).idleMs ?? 0;
  if (reachedMs > wantedMs)
    notes.push(`whole seconds cannot be faster than ${formatDuration(reachedMs)} here`);

  return {
    keepalive: { idleS: idleMs / 1_000, intervalS: intervalMs / 1_000, count: keepalive.count },
    userTimeoutMs: roundedUserTimeoutMs,
    rtoMaxMs,
    notes,
  };
}

const wholeSecondMs = (ms: number): number => Math.max(1, Math.floor(ms / 1_000)) * 1_000;

/** tcp_keepalive_timer looks at the user timeout only when a probe is due: how many probe intervals after the idle time. */
function ticksUntil(userTimeoutMs: number, idleMs: number, intervalMs: number): number {
  return Math.max(1, Math.ceil((userTimeoutMs - idleMs) / intervalMs));
}

/**
 * Keepalive for where no user timeout overrides the count: a count that gives up at the same probe as the user timeout would.
 */
export function keepaliveAlone({ keepalive, userTimeoutMs }: RoundedSettings): KeepaliveSeconds | null {
  if (keepalive === null || userTimeoutMs === 0) return keepalive;
  const ticks = ticksUntil(userTimeoutMs, keepalive.idleS * 1_000, keepalive.intervalS * 1_000);
  return { ...keepalive, count: Math.min(ticks, linuxLimits.count.max) };
}

/** Time to notice a dead peer on an idle connection, by the count alone. */
export function aloneMs({ idleS, intervalS, count }: KeepaliveSeconds): number {
  return (idleS + intervalS * count) * 1_000;
}
