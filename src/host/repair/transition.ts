import { linuxLimits } from "../../plan/settings.js";
import type { TcpInfo } from "../../kernel/tcp-info.js";
import type { TcpState } from "../../kernel/tcp-states.js";
import type { HeldSettings } from "./held.js";

/** What a connection is doing while its settings change. */
export type Moment = Pick<TcpInfo, "state" | "probes" | "unacked" | "notsentBytes"> & {
  /** Since the peer was last heard. */
  readonly silenceMs: number;
  /** The peer takes no more data for now, and data waits for it. Linux 5.4 and later say so. */
  readonly windowClosed: boolean;
};

export function momentOf(info: TcpInfo): Moment {
  const { state, probes, unacked, notsentBytes, sndWnd, lastDataRecvMs, lastAckRecvMs } = info;
  return {
    state,
    probes,
    unacked,
    notsentBytes,
    silenceMs: Math.min(lastDataRecvMs, lastAckRecvMs),
    windowClosed: sndWnd === 0 && connected.has(state) && unacked + (notsentBytes ?? 0) > 0,
  };
}

/** States in which a peer has said how much it takes. */
const connected: ReadonlySet<TcpState> = new Set<TcpState>(["ESTABLISHED", "CLOSE_WAIT"]);

/** States in which keepalive may end a connection: in the others it waits for its handshake, or has a FIN in flight. */
const probed: ReadonlySet<TcpState> = new Set<TcpState>(["ESTABLISHED", "CLOSE_WAIT", "FIN_WAIT2"]);

/** What may pass between looking at a connection and its timer's next tick. */
const marginMs = 1_000;

/**
 * Why settings cannot be written in one go, because they could end a connection whose peer is well.
 *
 * `silence`: the first tick of keepalive's timer, or the one after it, could. tcp_keepalive_timer counts silence from the peer's
 * last packet, whatever the settings were meanwhile. A connection that has been idle for an hour is beyond every user timeout, so
 * that of its very first probe nothing may be lost; and where a probe is under way while TCP_KEEPIDLE is set, the timer fires at
 * once and ends the connection before the answer can be there.
 *
 * `window`: the peer answers, but has kept its window closed, perhaps for longer than the new user timeout: tcp_probe_timer counts
 * from when it closed.
 *
 * No danger comes from data in flight: keepalive stands back for it, and its acknowledgement ends the silence.
 */
export type Danger = "silence" | "window";

export function dangerOf(moment: Moment, from: HeldSettings, to: HeldSettings): Danger | null {
  if (moment.windowClosed) return isLess(to.userTimeoutMs, from.userTimeoutMs) ? "window" : null;
  const { enabled, idleMs } = to.keepalive;
  if (!enabled || !probed.has(moment.state)) return null;
  if (moment.unacked > 0 || (moment.notsentBytes ?? 0) > 0) return null;
  const beyondUserTimeout =
    to.userTimeoutMs > 0 && moment.silenceMs + Math.min(marginMs, idleMs / 2) >= idleMs;
  return moment.probes > 0 || beyondUserTimeout ? "silence" : null;
}

/** Of user timeouts 0 is the longest. */
function isLess(a: number, b: number): boolean {
  return a > 0 && (b === 0 || a < b);
}

/** More than any connection has had unanswered: tcp_keepalive_timer ends none under it. */
const endlessCount = linuxLimits.count.max;

/**
 * The settings that a connection in danger holds until the danger is over.
 *
 * In silence it is probed under the new ones, but neither user timeout nor count can end it; when its peer has answered, the rest is
 * set. While its window is closed only the user timeout waits.
 */
export function meanwhile(danger: Danger, from: HeldSettings, to: HeldSettings): HeldSettings {
  return danger === "window"
    ? { ...to, userTimeoutMs: from.userTimeoutMs }
    : { keepalive: { ...to.keepalive, count: endlessCount }, userTimeoutMs: 0 };
}

/**
 * What a connection is left with whose danger does not pass: the user timeout is withheld, so that nothing but unanswered probes, as
 * many as were asked for, ends it.
 */
export function withheld(danger: Danger, from: HeldSettings, to: HeldSettings): HeldSettings {
  return { ...to, userTimeoutMs: danger === "window" ? from.userTimeoutMs : 0 };
}

/** How long is waited at most, however long the new settings would. */
const longestPatienceMs = 30_000;
const shortestPatienceMs = 1_000;

/** How long a peer may take to answer, or to open its window: what the new settings themselves would allow it. */
export function patienceMs({ keepalive, userTimeoutMs }: HeldSettings): number {
  const { idleMs, intervalMs, count } = keepalive;
  const probes = userTimeoutMs === 0 ? count : Math.max(1, Math.ceil((userTimeoutMs - idleMs) / intervalMs));
  return Math.min(longestPatienceMs, Math.max(shortestPatienceMs, intervalMs * probes));
}
