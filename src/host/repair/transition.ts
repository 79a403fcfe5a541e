import { linuxLimits } from "../../plan/settings.js";
import type { TcpInfo } from "../../kernel/tcp-info.js";
import type { TcpState } from "../../kernel/tcp-states.js";
import type { HeldSettings } from "./held.js";

/** What a connection is doing while its settings change. */
export type Moment = Pick<TcpInfo, "state" | "probes" | "unacked" | "notsentBytes"> & {
  /** Since the peer was last heard. */
  readonly silenceMs: number;
};

export function momentOf(info: TcpInfo): Moment {
  const { state, probes, unacked, notsentBytes, lastDataRecvMs, lastAckRecvMs } = info;
  return { state, probes, unacked, notsentBytes, silenceMs: Math.min(lastDataRecvMs, lastAckRecvMs) };
}

/** States in which keepalive may end a connection: in the others it waits for its handshake, or has a FIN in flight. */
const probed: ReadonlySet<TcpState> = new Set<TcpState>(["ESTABLISHED", "CLOSE_WAIT", "FIN_WAIT2"]);

/** What may pass between looking at a connection and its timer's next tick. */
const marginMs = 1_000;

/**
 * Whether the first tick of keepalive's timer under the new settings, or the one after it, could end a connection whose peer is
 * well.
 *
 * tcp_keepalive_timer counts silence from the peer's last packet, whatever the settings were meanwhile. A connection that has been
 * idle for an hour is beyond every user timeout, so that of its very first probe nothing may be lost; and where a probe is under
 * way while TCP_KEEPIDLE is set, the timer fires at once and ends the connection before the answer can be there.
 *
 * No danger comes from data in flight: keepalive stands back for it, and its acknowledgement ends the silence.
 */
export function isDelicate(moment: Moment, to: HeldSettings): boolean {
  const { enabled, idleMs } = to.keepalive;
  const beyondUserTimeout =
    to.userTimeoutMs > 0 && moment.silenceMs + Math.min(marginMs, idleMs / 2) >= idleMs;
  if (!enabled || !probed.has(moment.state)) return false;
  if (moment.unacked > 0 || (moment.notsentBytes ?? 0) > 0) return false;
  return moment.probes > 0 || beyondUserTimeout;
}

/** More than any connection has had unanswered: tcp_keepalive_timer ends none under it. */
const endlessCount = linuxLimits.count.max;

/**
 * The settings under which a delicate connection is probed once more: the new ones, but neither user timeout nor count can end it.
 * When its peer has answered, the rest is set.
 */
export function careful(to: HeldSettings): HeldSettings {
  return { keepalive: { ...to.keepalive, count: endlessCount }, userTimeoutMs: 0 };
}

/** How long careful settings wait at most for a peer that does not answer, however long the new settings would. */
const longestPatienceMs = 30_000;
const shortestPatienceMs = 1_000;

/** How long a peer may take to answer under careful settings: what the new settings themselves would allow. */
export function patienceMs({ keepalive, userTimeoutMs }: HeldSettings): number {
  const { idleMs, intervalMs, count } = keepalive;
  const probes = userTimeoutMs === 0 ? count : Math.max(1, Math.ceil((userTimeoutMs - idleMs) / intervalMs));
  return Math.min(longestPatienceMs, Math.max(shortestPatienceMs, intervalMs * probes));
}
