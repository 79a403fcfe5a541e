import type { Regime } from "../plan/model.js";
import type { Timer } from "../verdict/evidence.js";
import type { Flow } from "./flow.js";
import type { Half } from "./half.js";
import type { Silence } from "./silence.js";

/** The longest wait between retransmissions (TCP_RTO_MAX). */
const longestWaitNs = 120e9;
/** How much later than expected a repetition may come: timers run late by up to an eighth, see plan/timer-wheel.ts. */
const late = 1.25;
/** The first repetition may be a tail loss probe (RFC 8985 section 7), long before the retransmission timeout. */
const firstWaitNs = 3e9;
/** Shorter silences are everyday losses, not deaths. */
const shortestSilenceNs = 0.5e9;

/** When a side must have given up, or would have repeated once more: retransmissions come at twice the wait before. */
export function gaveUpNs(half: Half, silence: Silence): number {
  return silence.lastNs + nextWaitNs(half, silence);
}

function nextWaitNs({ keepalive }: Half, silence: Silence): number {
  const { lastGapNs, probes, repetitions } = silence;
  if (probes === repetitions && probes > 1) return lastGapNs;
  if (probes === repetitions) return Math.max(keepalive?.intervalMostNs ?? 0, 0) || lastGapNs;
  return Math.min(lastGapNs * 2, longestWaitNs);
}

/** Whether the next repetition is overdue at the end of the capture. */
export function hasGivenUp(half: Half, silence: Silence, endNs: number): boolean {
  const waitNs = nextWaitNs(half, silence);
  const patienceNs = silence.repetitions > 1 ? waitNs : Math.max(waitNs, firstWaitNs);
  return endNs - silence.lastNs > patienceNs * late;
}

/** Whether a silence is long enough to be called one while it lasts. */
export function wearsOn({ repetitions, heardNs, lastNs }: Silence): boolean {
  return repetitions > 1 && lastNs - heardNs > shortestSilenceNs;
}

/** What the connection was doing: a SYN that nobody answers connects, an acknowledged one waits for data, probes or the window. */
export function silenceRegime(flow: Flow, { probes, windowProbes, retransmits }: Silence): Regime {
  if (retransmits > 0) {
    if (!flow.established) return "connecting";
    return flow.a.finFrame > 0 || flow.b.finFrame > 0 ? "closing" : "sending";
  }
  return windowProbes > probes ? "zero-window" : "idle";
}

/** The timer behind the repetitions. Whether a user timeout cut it short a capture cannot tell. */
export function silenceTimer({ retransmits, windowProbes, probes }: Silence): Timer {
  if (retransmits > 0) return "retransmit";
  return windowProbes > probes ? "zero-window" : "keepalive";
}
