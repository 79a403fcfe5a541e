import { DeadpeerError } from "../errors.js";
import { formatDuration } from "./duration.js";
import { linuxLimits, type Settings } from "./settings.js";

/** A value that was given finer than the kernel keeps it. */
export interface Rounding {
  readonly name: "idle" | "interval";
  readonly givenMs: number;
  readonly keptMs: number;
}

/** Settings as Linux would hold them, and what was rounded on the way. */
export interface CheckedSettings {
  readonly settings: Settings;
  readonly roundings: readonly Rounding[];
}

/**
 * Settings as Linux holds them: idle and interval in whole seconds, rounded down as Node and others do. Refuses what
 * do_tcp_setsockopt answers with EINVAL.
 *
 * @throws DeadpeerError `value-refused`.
 */
export function checkSettings(given: Settings): CheckedSettings {
  const roundings: Rounding[] = [];
  const wholeSeconds = (name: Rounding["name"], givenMs: number): number => {
    const keptMs = Math.floor(givenMs / 1_000) * 1_000;
    requireWithin(name, keptMs, linuxLimits[`${name}Ms`], givenMs);
    if (keptMs !== givenMs) roundings.push({ name, givenMs, keptMs });
    return keptMs;
  };
  const { keepalive, userTimeoutMs, rtoMaxMs } = given;
  requireWhole("user timeout", userTimeoutMs, linuxLimits.userTimeoutMs);
  if (rtoMaxMs !== undefined) requireWhole("longest retransmission timeout", rtoMaxMs, linuxLimits.rtoMaxMs);
  if (keepalive === null) return { settings: given, roundings };
  const { min, max } = linuxLimits.count;
  if (!Number.isInteger(keepalive.count) || keepalive.count < min || keepalive.count > max) {
    throw refused("count", String(keepalive.count), `${min} to ${max} probes`);
  }
  const idleMs = wholeSeconds("idle", keepalive.idleMs);
  const intervalMs = wholeSeconds("interval", keepalive.intervalMs);
  return { settings: { ...given, keepalive: { ...keepalive, idleMs, intervalMs } }, roundings };
}

interface Limits {
  readonly min: number;
  readonly max: number;
}

function requireWithin(name: string, keptMs: number, { min, max }: Limits, givenMs: number): void {
  if (keptMs >= min && keptMs <= max) return;
  throw refused(name, shown(givenMs), `${min / 1_000}s to ${max / 1_000}s, in whole seconds`);
}

function requireWhole(name: string, givenMs: number, { min, max }: Limits): void {
  if (Number.isInteger(givenMs) && givenMs >= min && givenMs <= max) return;
  throw refused(name, shown(givenMs), `${min}ms to ${max}ms, in whole milliseconds`);
}

/** Short where that is exact, so that nobody reads a limit as its own violation. */
function shown(ms: number): string {
  return ms % 1_000 === 0 ? `${ms / 1_000}s` : ms < 1_000 ? `${ms}ms` : formatDuration(ms);
}

function refused(name: string, value: string, allowed: string): DeadpeerError {
  return new DeadpeerError(
    "value-refused",
    `${name} ${value}: Linux refuses it (EINVAL); it takes ${allowed}`,
    {
      errno: "EINVAL",
    },
  );
}
