import { linuxDefaults, type Settings, type SystemDefaults } from "./settings.js";

/**
 * What a connection is doing, as far as detection goes. Every time the project shows says which of these it is for.
 * `closing`: our side has ended it and waits for the peer or a timer; `none`: there is no peer to lose (a listener).
 */
export const regimes = ["idle", "sending", "zero-window", "connecting", "closing", "none"] as const;
export type Regime = (typeof regimes)[number];

/** How long a dead peer goes unnoticed, by regime; null is "never". */
export interface Detection {
  /** Nothing in flight, nothing queued. */
  readonly idleMs: number | null;
  /** Data in flight or queued. With a user timeout the kernel may add up to one retransmission interval. */
  readonly sendingMs: number | null;
  /** The peer keeps its window at zero and answers the window probes. */
  readonly zeroWindowMs: number | null;
  /** The peer's window is zero and nothing answers the window probes. */
  readonly zeroWindowSilentMs: number | null;
  /** A connect that nothing answers. */
  readonly connectingMs: number | null;
}

/**
 * How long each regime leaves a dead peer unnoticed under the given settings: the six rows of the detection model.
 *
 * @example detectionTimes({ keepalive: { idleMs: 7_200_000, intervalMs: 75_000, count: 9 }, userTimeoutMs: 0 }).idleMs // 7875000
 */
export function detectionTimes(settings: Settings, system: SystemDefaults = linuxDefaults): Detection {
  const userTimeoutMs = settings.userTimeoutMs > 0 ? settings.userTimeoutMs : null;
  const rtoMaxMs = settings.rtoMaxMs ?? system.rtoMaxMs;
  return {
    idleMs: idleTimeoutMs(settings),
    sendingMs: userTimeoutMs ?? retransmissionTimeoutMs(system.retries2, system.rtoMinMs, rtoMaxMs),
    zeroWindowMs: userTimeoutMs,
    // tcp_probe_timer gives up at the tick after tcp_retries2 unanswered probes, spaced like retransmissions, user timeout or
    // not; tcp_write_timeout, for data in flight, looks at one of them only.
    zeroWindowSilentMs: Math.min(
      userTimeoutMs ?? Number.POSITIVE_INFINITY,
      retransmissionTimeoutMs(system.retries2, system.rtoMinMs, rtoMaxMs),
    ),
    connectingMs: connectTimeoutMs(system, rtoMaxMs, userTimeoutMs),
  };
}

/**
 * tcp_keepalive_timer: without a user timeout the tick that finds `count` probes unanswered ends the connection; with one,
 * the first tick at or after it, provided one probe is out, and the count is not looked at.
 */
function idleTimeoutMs({ keepalive, userTimeoutMs }: Settings): number | null {
  if (keepalive === null) return null;
  const { idleMs, intervalMs, count } = keepalive;
  if (userTimeoutMs === 0) return idleMs + intervalMs * count;
  return idleMs + intervalMs * Math.max(1, Math.ceil((userTimeoutMs - idleMs) / intervalMs));
}

/**
 * tcp_model_timeout: what `retries` retransmissions take when each wait is twice the one before, from rtoMin up to rtoMax.
 * A lower bound: real round trips start from a longer timeout.
 *
 * @example retransmissionTimeoutMs(15, 200, 120_000) // 924600
 */
export function retransmissionTimeoutMs(retries: number, rtoBaseMs: number, rtoMaxMs: number): number {
  if (rtoMaxMs <= rtoBaseMs) return (retries + 1) * rtoMaxMs;
  const doublings = 31 - Math.clz32(rtoMaxMs / rtoBaseMs); // the kernel's ilog2
  if (retries <= doublings) return (2 ** (retries + 1) - 1) * rtoBaseMs;
  return (2 ** (doublings + 1) - 1) * rtoBaseMs + (retries - doublings) * rtoMaxMs;
}

/**
 * Tick by tick what tcp_retransmit_timer and tcp_write_timeout do with a SYN: `tcp_syn_linear_timeouts` waits of the initial
 * timeout (1 s, RFC 6298 §2.1), then each twice the one before, and behind the first one none beyond the user timeout. The
 * end is the tick that finds all retransmissions made, or the time for `tcp_syn_retries` of them over, or the user timeout:
 * hence never before the first tick.
 */
function connectTimeoutMs(system: SystemDefaults, rtoMaxMs: number, userTimeoutMs: number | null): number {
  const initialRtoMs = Math.min(1_000, rtoMaxMs);
  const limitMs = userTimeoutMs ?? retransmissionTimeoutMs(system.synRetries, initialRtoMs, rtoMaxMs);
  let rtoMs = initialRtoMs;
  let nowMs = initialRtoMs;
  for (let sent = 0; sent < system.synRetries + system.synLinearTimeouts; sent++) {
    if (sent > 0 && nowMs >= limitMs) break;
    if (sent >= system.synLinearTimeouts) rtoMs = Math.min(rtoMs * 2, rtoMaxMs);
    const waitMs = userTimeoutMs === null ? rtoMs : Math.min(rtoMs, Math.max(0, userTimeoutMs - nowMs));
    nowMs += waitMs;
  }
  return nowMs;
}

/**
 * How long a peer that is really gone can stay unnoticed: the slowest of idle, sending, and a zero window that nobody
 * answers. null: never. (A zero window that *is* answered comes from a living peer.)
 */
export function deadPeerMs(detection: Detection): number | null {
  return slowest([detection.idleMs, detection.sendingMs, detection.zeroWindowSilentMs]);
}

/** The slowest regime of an established connection, a slow reader's zero window included; null: never. */
export function worstMs(detection: Detection): number | null {
  return slowest([
    detection.idleMs,
    detection.sendingMs,
    detection.zeroWindowMs,
    detection.zeroWindowSilentMs,
  ]);
}

function slowest(times: readonly (number | null)[]): number | null {
  let worst = 0;
  for (const time of times) {
    if (time === null) return null;
    worst = Math.max(worst, time);
  }
  return worst;
}
