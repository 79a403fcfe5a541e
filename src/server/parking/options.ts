import { isMainThread } from "node:worker_threads";
import { DeadpeerError } from "../../errors.js";
import { systemClock } from "../../kernel/clock.js";
import { libcProblem } from "../../kernel/libc.js";
import { durationMs } from "../../plan/duration.js";
import type { TimerClock } from "../../time/clock.js";

/** How idle sessions are parked. */
export interface ParkingOptions {
  /** A session that has needed more than answers to beats is parked when that is so long ago. Default 5s. */
  readonly after?: string | number;
  /** Threads that keep sessions, 1 to 64. Default 1: what one core can answer. */
  readonly workers?: number;
}

/** The options as the lot's parts take them. */
export interface ParkingSettings {
  readonly afterMs: number;
  readonly workers: number;
}

const mostWorkers = 64;

/**
 * How sessions are parked, or null where they are not. In a thread that its owner may end at any time they are only if that is asked for:
 * Node then closes what it knows of, and not what the lot has.
 *
 * @param wanted undefined: where it can work.
 * @throws DeadpeerError `bad-option`, `bad-duration`; `platform-unsupported` or `ffi-unavailable` where it is asked for and cannot be.
 */
export function parkingSettings(
  wanted: boolean | ParkingOptions | undefined,
  clock: TimerClock | undefined,
): ParkingSettings | null {
  const problem = wanted === false ? null : problemOf(clock);
  if (wanted === false || (wanted === undefined && (problem !== null || !isMainThread))) return null;
  if (problem !== null) throw problem;
  const { after = "5s", workers = 1 } = typeof wanted === "object" ? wanted : {};
  if (!(Number.isInteger(workers) && workers >= 1 && workers <= mostWorkers))
    throw new DeadpeerError(
      "bad-option",
      `parking.workers: ${workers} is not a whole number from 1 to ${mostWorkers}`,
    );
  return { afterMs: durationMs(after, "parking.after"), workers };
}

function problemOf(clock: TimerClock | undefined): DeadpeerError | null {
  if (clock !== undefined && clock !== systemClock)
    return new DeadpeerError("bad-option", "parking: the lot goes by the system's clock; leave out clock");
  return libcProblem();
}
