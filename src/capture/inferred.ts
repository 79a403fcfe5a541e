import { surelyOverAfterMs } from "../plan/timer-wheel.js";
import { milliseconds, type Side } from "./events.js";
import type { Flow } from "./flow.js";
import type { Half } from "./half.js";

/** The shortest and the longest that was seen. */
export interface Seen {
  readonly leastMs: number;
  readonly mostMs: number;
}

/** Keepalive as one side must have it set, concluded from when its probes came. */
export interface InferredKeepalive {
  readonly from: Side;
  /** null: no probe came out of silence. */
  readonly idleMs: number | null;
  /** null: every probe was answered, so none followed another. */
  readonly intervalMs: number | null;
  /** The most probes in a row without an answer: the count itself only if the connection died of it. */
  readonly count: number;
  readonly idleSeen: Seen | null;
  readonly intervalSeen: Seen | null;
}

/** What keepalive cost so far: probes and their answers, IP headers included. */
export interface KeepaliveTraffic {
  readonly packets: number;
  readonly bytes: number;
}

export interface Inferred {
  readonly keepalive: readonly InferredKeepalive[];
  readonly keepaliveTraffic: KeepaliveTraffic;
  /** When each side was last heard, since the capture's first frame; null: never. */
  readonly lastHeardMs: { readonly a: number | null; readonly b: number | null };
  /** Something was sent behind the handshake. */
  readonly established: boolean;
  readonly roundTripMs: number | null;
}

export function inferFrom(flow: Flow): Inferred {
  const { a, b } = flow;
  return {
    keepalive: [...keepaliveOf(a, "a"), ...keepaliveOf(b, "b")],
    keepaliveTraffic: {
      packets: (a.keepalive?.packets ?? 0) + (b.keepalive?.packets ?? 0),
      bytes: (a.keepalive?.bytes ?? 0) + (b.keepalive?.bytes ?? 0),
    },
    lastHeardMs: { a: heardMs(a), b: heardMs(b) },
    established: flow.established,
    roundTripMs: flow.firstRttNs > 0 ? milliseconds(flow.firstRttNs) : null,
  };
}

function keepaliveOf(half: Half, from: Side): InferredKeepalive[] {
  const { keepalive } = half;
  if (keepalive === null) return [];
  const idleSeen = seen(keepalive.idleLeastNs, keepalive.idleMostNs);
  const intervalSeen = seen(keepalive.intervalLeastNs, keepalive.intervalMostNs);
  return [
    {
      from,
      idleMs: idleSeen === null ? null : settingBehind(idleSeen.leastMs),
      intervalMs: intervalSeen === null ? null : settingBehind(intervalSeen.leastMs),
      count: keepalive.mostProbes,
      idleSeen,
      intervalSeen,
    },
  ];
}

function heardMs(half: Half): number | null {
  return half.lastFrame === 0 ? null : milliseconds(half.lastNs);
}

function seen(leastNs: number, mostNs: number): Seen | null {
  return leastNs > mostNs ? null : { leastMs: milliseconds(leastNs), mostMs: milliseconds(mostNs) };
}

/** Numbers of seconds that people choose, the roundest first. */
const roundSeconds = [3_600, 1_800, 900, 600, 300, 120, 60, 30, 20, 15, 10, 5, 2, 1];
/** A capture's time stamps and the sender's clock may differ a little. */
const stampJitterMs = 5;

/**
 * The setting that made a kernel wait for so long: timers run late, by up to an eighth (see plan/timer-wheel.ts), never early, and
 * Linux takes whole seconds. Of what is possible the roundest is the likeliest.
 *
 * @example settingBehind(61_900) // 60000
 */
export function settingBehind(waitMs: number): number {
  const least = surelyOverAfterMs(waitMs);
  for (const seconds of roundSeconds) {
    const unitMs = seconds * 1_000;
    const candidate = Math.floor((waitMs + stampJitterMs) / unitMs) * unitMs;
    if (candidate > 0 && candidate >= least) return candidate;
  }
  return Math.round(waitMs);
}
