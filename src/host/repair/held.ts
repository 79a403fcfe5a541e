import type { SocketSettings, SocketSettingsChange } from "../../kernel/socket-options.js";
import type { Settings, SettingsChange } from "../../plan/settings.js";

/** The five options of a socket that repair changes; the times are those that would hold if keepalive were on, also while it is off. */
export interface HeldSettings {
  readonly keepalive: {
    readonly enabled: boolean;
    readonly idleMs: number;
    readonly intervalMs: number;
    readonly count: number;
  };
  readonly userTimeoutMs: number;
}

/** What was read from a socket, without what repair leaves alone. */
export function heldOf({ keepalive, userTimeoutMs }: SocketSettings): HeldSettings {
  return { keepalive, userTimeoutMs };
}

/** What a socket holds once a change has been made. */
export function changed(held: HeldSettings, change: SettingsChange): HeldSettings {
  const { keepalive, userTimeoutMs = held.userTimeoutMs } = change;
  if (keepalive === undefined) return { ...held, userTimeoutMs };
  if (keepalive === null) return { keepalive: { ...held.keepalive, enabled: false }, userTimeoutMs };
  return { keepalive: { ...held.keepalive, ...keepalive, enabled: true }, userTimeoutMs };
}

/**
 * The part of a change that leaves alone what a program has chosen: whoever has switched keepalive on has also chosen its times, if
 * only by leaving them to the system.
 */
export function unsetPart(held: HeldSettings, { keepalive, userTimeoutMs }: SettingsChange): SettingsChange {
  return {
    ...(keepalive === undefined || held.keepalive.enabled ? {} : { keepalive }),
    ...(userTimeoutMs === undefined || held.userTimeoutMs > 0 ? {} : { userTimeoutMs }),
  };
}

/** The five values in a fixed order; a journal's line is made of them. */
export type HeldValues = readonly [
  enabled: 0 | 1,
  idleMs: number,
  intervalMs: number,
  count: number,
  userTimeoutMs: number,
];

export function valuesOf({ keepalive, userTimeoutMs }: HeldSettings): HeldValues {
  const { enabled, idleMs, intervalMs, count } = keepalive;
  return [enabled ? 1 : 0, idleMs, intervalMs, count, userTimeoutMs];
}

export function heldFrom([enabled, idleMs, intervalMs, count, userTimeoutMs]: HeldValues): HeldSettings {
  return { keepalive: { enabled: enabled === 1, idleMs, intervalMs, count }, userTimeoutMs };
}

export function isSame(a: HeldSettings, b: HeldSettings): boolean {
  return (
    a.userTimeoutMs === b.userTimeoutMs &&
    a.keepalive.enabled === b.keepalive.enabled &&
    a.keepalive.idleMs === b.keepalive.idleMs &&
    a.keepalive.intervalMs === b.keepalive.intervalMs &&
    a.keepalive.count === b.keepalive.count
  );
}

/** What the planner's model reckons with. */
export function settingsOf({ keepalive, userTimeoutMs }: HeldSettings): Settings {
  const { enabled, ...times } = keepalive;
  return { keepalive: enabled ? times : null, userTimeoutMs };
}

/**
 * What to write to come from one to the other: options that agree are not written. A socket that was never given a time goes on
 * following the system's sysctl, which writing the same value would end.
 */
export function difference(from: HeldSettings, to: HeldSettings): SocketSettingsChange {
  const { enabled, idleMs, intervalMs, count } = to.keepalive;
  const keepalive = {
    ...(idleMs === from.keepalive.idleMs ? {} : { idleMs }),
    ...(intervalMs === from.keepalive.intervalMs ? {} : { intervalMs }),
    ...(count === from.keepalive.count ? {} : { count }),
  };
  const touched = enabled !== from.keepalive.enabled || Object.keys(keepalive).length > 0;
  return {
    ...(touched ? { keepalive: { ...keepalive, enabled } } : {}),
    ...(to.userTimeoutMs === from.userTimeoutMs ? {} : { userTimeoutMs: to.userTimeoutMs }),
  };
}
