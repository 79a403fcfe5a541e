import { detectionTimes } from "./model.js";
import { linuxDefaults, type Settings, type SystemDefaults } from "./settings.js";
import { latestMs } from "./timer-wheel.js";

/**
 * The longest interruption of the path that a connection surely survives, whenever it begins; null: any length. Up to one
 * round trip less, since the answer has to come back as well.
 */
export interface RidesOut {
  readonly idle: number | null;
  readonly sending: number;
}

/**
 * What outage each regime rides out, late timers included.
 *
 * @example ridesOut({ keepalive: { idleMs: 20_000, intervalMs: 5_000, count: 3 }, userTimeoutMs: 0 }).idle // 10000
 */
export function ridesOut(settings: Settings, system: SystemDefaults = linuxDefaults): RidesOut {
  const sendingMs = detectionTimes(settings, system).sendingMs ?? 0;
  return { idle: idleRideOutMs(settings), sending: sendingRideOutMs(sendingMs, rtoMaxOf(settings, system)) };
}

/**
 * The worst outage begins just before the first probe, and is survived if the last probe gets through: what counts is the
 * time between those two. With a user timeout the clock runs from the last sign of life, so that a late first probe leaves
 * time for fewer others; without one, the count is kept however late they are.
 */
function idleRideOutMs({ keepalive, userTimeoutMs }: Settings): number | null {
  if (keepalive === null) return null;
  const { idleMs, intervalMs, count } = keepalive;
  if (userTimeoutMs === 0) return (count - 1) * intervalMs;
  const probes = Math.ceil(
    (userTimeoutMs - latestMs(firstProbeMs(idleMs, intervalMs))) / latestMs(intervalMs),
  );
  return Math.max(0, probes - 1) * intervalMs;
}

/**
 * How long a steadily idle connection waits between an answer and the next probe: after each probe tcp_keepalive_timer looks
 * again one interval later, so an interval longer than the idle time takes its place.
 */
export function firstProbeMs(idleMs: number, intervalMs: number): number {
  return Math.max(idleMs, intervalMs);
}

/**
 * Retransmissions wait twice as long each time, so the last one before the limit may have been sent as early as half-way
 * there (when the next, due at the limit, comes too late), or one longest timeout before it. Holds for every round-trip time:
 * with retransmissions at RTO·(2^(k+1) - 2) after the first, and the first at RTO or later, the last one that fits lies at
 * limit / 2 or later, and a little earlier if the wait behind it runs late.
 */
function sendingRideOutMs(limitMs: number, rtoMaxMs: number): number {
  return Math.floor(Math.max(limitMs / doubledWait, limitMs - latestMs(rtoMaxMs)));
}

/** The user timeout that rides out an outage while sending: the other direction of the rule above. */
export function userTimeoutToRideOutMs(outageMs: number, rtoMaxMs: number): number {
  return Math.min(outageMs * doubledWait, outageMs + latestMs(rtoMaxMs));
}

/** One wait, and another as long that runs late. */
const doubledWait = 1 + latestMs(1);

function rtoMaxOf(settings: Settings, system: SystemDefaults): number {
  return settings.rtoMaxMs ?? system.rtoMaxMs;
}
