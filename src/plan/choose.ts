import { longestIdleMs } from "./path.js";
import { userTimeoutToRideOutMs } from "./rides-out.js";
import { linuxDefaults, linuxLimits, type KeepaliveSettings, type Settings } from "./settings.js";
import { latestMs, surelyOverAfterMs } from "./timer-wheel.js";

/** What settings have to fulfil. */
export interface Demands {
  readonly budgetMs: number;
  /** The outage to ride out. */
  readonly outageMs: number;
  /** Idle timeouts of the boxes on the path that count keepalive. */
  readonly pathIdleMs: readonly number[];
}

/**
 * The user timeout lies this far below idle + interval x count. While sending, its clock starts with the first retransmission:
 * a tail loss probe after at most 200 ms + 2 round trips and a retransmission timeout of 200 ms + one, measured 0.42 to
 * 0.57 s. Less than an interval, so that the tick which ends an idle connection stays the same.
 */
export const userTimeoutSlackMs = 650;

/**
 * Timers that run late may exceed the budget by this much and no more. The kernel counts in whole seconds: to insist on less
 * would cost a whole second of every budget.
 */
export const toleranceMs = 500;

/** The counts to choose from: 3 so that two probes may be lost, up to Linux's own 9; more only if nothing else will do. */
const usualCounts = range(3, linuxDefaults.keepalive.count);
const manyCounts = range(linuxDefaults.keepalive.count + 1, linuxLimits.count.max);
/** Where three probes do not fit into the budget and no outage is asked for. */
const fewCounts = [[2], [1]];

/**
 * The settings that meet the demands in every regime with the fewest packets, that is with the longest idle time; undefined if
 * there are none.
 */
export function chooseSettings(demands: Demands): Settings | undefined {
  const counts = [usualCounts, manyCounts, ...(demands.outageMs === 0 ? fewCounts : [])];
  for (const candidates of counts) {
    const keepalive = longestIdle(candidates, demands);
    if (keepalive === undefined) continue;
    return { keepalive, userTimeoutMs: endMs(keepalive) - userTimeoutSlackMs };
  }
  return undefined;
}

function longestIdle(counts: readonly number[], demands: Demands): KeepaliveSettings | undefined {
  let best: KeepaliveSettings | undefined;
  for (const count of counts) {
    // Fewer seconds than this between the probes cannot span the outage.
    const shortestMs = Math.max(1_000, ceilToSecond(demands.outageMs / Math.max(1, count - 1)));
    for (let intervalMs = shortestMs; ; intervalMs += 1_000) {
      // The ceiling only sinks as the interval grows; idle below interval would be raised to it by the kernel, see firstProbeMs.
      const ceilingMs = idleCeiling(intervalMs, count, demands);
      if (ceilingMs < intervalMs || ceilingMs < (best?.idleMs ?? 0)) break;
      const idleMs = floorToSecond(
        Math.min(ceilingMs, idleThatRidesOut(intervalMs, count, demands.outageMs)),
      );
      const candidate = { idleMs, intervalMs, count };
      if (idleMs < intervalMs || !ridesOutWhileSending(candidate, demands.outageMs)) continue;
      if (best === undefined || isBetter(candidate, best)) best = candidate;
      if (idleMs === ceilingMs) break;
    }
  }
  return best;
}

/** Fewer packets first; of equals the one that notices earlier. */
function isBetter(one: KeepaliveSettings, other: KeepaliveSettings): boolean {
  return one.idleMs === other.idleMs ? endMs(one) < endMs(other) : one.idleMs > other.idleMs;
}

function idleCeiling(intervalMs: number, count: number, { budgetMs, pathIdleMs }: Demands): number {
  return Math.min(
    idleWithinBudget(intervalMs, count, budgetMs),
    linuxLimits.idleMs.max,
    ...pathIdleMs.map((boxIdleMs) => idleWithinPath(intervalMs, boxIdleMs)),
  );
}

/**
 * The longest idle time with which, late timers included, an idle and a sending connection both end within the budget.
 * Idle, the end is at latest the first tick behind the user timeout, or all waits late; sending, the user timeout runs from the
 * first retransmission, and its last wait is at most about half of it.
 */
function idleWithinBudget(intervalMs: number, count: number, budgetMs: number): number {
  const latest = budgetMs + toleranceMs;
  const idleEnd = Math.max(latest + userTimeoutSlackMs - latestMs(intervalMs), surelyOverAfterMs(latest));
  const lateHalf = (1 + latestMs(1)) / 2;
  const sendingEnd = (latest - userTimeoutSlackMs) / lateHalf + userTimeoutSlackMs;
  return floorToSecond(Math.min(budgetMs, idleEnd, sendingEnd) - intervalMs * count);
}

/** The longest idle time whose first probe, however late, leaves time for as many others as span the outage. */
function idleThatRidesOut(intervalMs: number, count: number, outageMs: number): number {
  if (outageMs === 0) return Number.POSITIVE_INFINITY;
  const spanMs = Math.ceil(outageMs / intervalMs) * latestMs(intervalMs);
  // idle + interval x count - slack - latest(idle) > span, solved for idle, with a millisecond for ">".
  const spareMs = intervalMs * count - userTimeoutSlackMs - spanMs - 1;
  return spareMs / (latestMs(1) - 1);
}

/** A box that forgets faster than Linux can probe restricts nothing: the plan warns of it instead. */
function idleWithinPath(intervalMs: number, boxIdleMs: number): number {
  return Math.max(longestIdleMs(boxIdleMs, intervalMs), linuxLimits.idleMs.min);
}

function ridesOutWhileSending(keepalive: KeepaliveSettings, outageMs: number): boolean {
  return endMs(keepalive) - userTimeoutSlackMs >= userTimeoutToRideOutMs(outageMs, linuxDefaults.rtoMaxMs);
}

function endMs({ idleMs, intervalMs, count }: KeepaliveSettings): number {
  return idleMs + intervalMs * count;
}

function floorToSecond(ms: number): number {
  return Math.floor(ms / 1_000) * 1_000;
}

function ceilToSecond(ms: number): number {
  return Math.ceil(ms / 1_000) * 1_000;
}

function range(first: number, last: number): readonly number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}
