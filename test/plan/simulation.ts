import type { KeepaliveSettings, Settings } from "../../src/plan/settings.js";

/** A piece of time in which nothing gets through, in ms since the connection was last heard: [from, to). */
export interface Outage {
  readonly fromMs: number;
  readonly toMs: number;
}

/** How late each timer is, as a share of its wait, 0 to 8/63. */
export type Lateness = () => number;

/**
 * tcp_keepalive_timer, tick by tick, for an idle connection heard of at 0 (established, or an answer a whole cycle ago): when it
 * dies, or null if it is alive long after the outage. An answer takes no time.
 */
export function idleDeathMs(
  keepalive: KeepaliveSettings,
  userTimeoutMs: number,
  outage: Outage,
  late: Lateness,
): number | null {
  const { idleMs, intervalMs, count } = keepalive;
  const horizonMs =
    outage.toMs === Number.POSITIVE_INFINITY ? outage.toMs : outage.toMs + idleMs + intervalMs;
  let heardMs = 0;
  let probesOut = 0;
  let nowMs = idleMs * (1 + late());
  while (nowMs < horizonMs) {
    const elapsedMs = nowMs - heardMs;
    let waitMs = idleMs - elapsedMs;
    if (elapsedMs >= idleMs) {
      const expired = userTimeoutMs > 0 ? elapsedMs >= userTimeoutMs && probesOut > 0 : probesOut >= count;
      if (expired) return nowMs;
      probesOut++;
      if (nowMs < outage.fromMs || nowMs >= outage.toMs) {
        heardMs = nowMs;
        probesOut = 0;
      }
      waitMs = intervalMs;
    }
    nowMs += waitMs * (1 + late());
  }
  return null;
}

export interface Sender {
  readonly rtoMs: number;
  readonly rtoMaxMs: number;
  /** What the limit is when there is no user timeout. */
  readonly limitMs: number;
  readonly tailLossProbe: boolean;
}

/**
 * tcp_retransmit_timer for data sent at 0, with which an outage begins: when the connection dies, or null if a retransmission
 * gets through. The user timeout counts from the first retransmission, and waits are cut to it
 * (tcp_clamp_rto_to_user_timeout).
 */
export function sendingDeathMs(
  { userTimeoutMs }: Settings,
  sender: Sender,
  outageMs: number,
  late: Lateness,
): number | null {
  let rtoMs = sender.rtoMs;
  let nowMs = sender.tailLossProbe ? rtoMs * (1 + late()) : 0;
  if (sender.tailLossProbe && nowMs >= outageMs) return null;
  nowMs += rtoMs * (1 + late());
  const firstMs = nowMs;
  const limitMs = userTimeoutMs > 0 ? userTimeoutMs : sender.limitMs;
  for (;;) {
    const elapsedMs = nowMs - firstMs;
    if (nowMs > firstMs && elapsedMs >= limitMs) return nowMs;
    if (nowMs >= outageMs) return null;
    rtoMs = Math.min(rtoMs * 2, sender.rtoMaxMs);
    const waitMs = userTimeoutMs > 0 ? Math.min(rtoMs, limitMs - elapsedMs) : rtoMs;
    nowMs += Math.max(waitMs, 1) * (1 + late());
  }
}
