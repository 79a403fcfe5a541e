import { firstProbeMs } from "./rides-out.js";
import type { Settings } from "./settings.js";

/** What keepalive costs, counting probe and answer. */
export interface TrafficFigures {
  readonly packetsPerDay: number;
  readonly bytesPerDay: number;
  /** Of 30 days. */
  readonly bytesPerMonth: number;
  /** How often a probe wakes the peer: its processor, and on a battery its radio. */
  readonly wakeupsPerDay: number;
}

/** The figures of one idle connection, and, if a number of connections was given, of all of them. */
export interface Traffic extends TrafficFigures {
  readonly connections?: number;
  readonly total?: TrafficFigures;
}

/**
 * A probe is a bare TCP segment, and so is its answer: an IPv4 header of 20 bytes, a TCP header of 20, and timestamps with
 * padding, 12 (RFC 7323). IPv6 has 20 bytes more; a link adds its own frame (Ethernet 18).
 */
export const probePacketBytes = { 4: 52, 6: 72 } as const;

const dayMs = 86_400_000;

/**
 * What a connection costs that is idle all day: the most keepalive ever sends, since data takes the place of probes.
 *
 * @example trafficOf({ keepalive: { idleMs: 60_000, intervalMs: 10_000, count: 3 }, userTimeoutMs: 0 }).packetsPerDay // 2880
 */
export function trafficOf(settings: Settings, connections?: number): Traffic {
  const figures = figuresOf(settings, 1);
  return connections === undefined
    ? figures
    : { ...figures, connections, total: figuresOf(settings, connections) };
}

function figuresOf({ keepalive }: Settings, connections: number): TrafficFigures {
  const probes =
    keepalive === null ? 0 : (connections * dayMs) / firstProbeMs(keepalive.idleMs, keepalive.intervalMs);
  const bytesPerDay = probes * 2 * probePacketBytes[4];
  return {
    packetsPerDay: Math.round(probes * 2),
    bytesPerDay: Math.round(bytesPerDay),
    bytesPerMonth: Math.round(bytesPerDay * 30),
    wakeupsPerDay: Math.round(probes),
  };
}
