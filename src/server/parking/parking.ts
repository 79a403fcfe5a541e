import { DeadpeerError } from "../../errors.js";
import { systemClock } from "../../kernel/clock.js";
import { libcProblem } from "../../kernel/libc.js";
import { durationMs } from "../../plan/duration.js";
import type { TimerClock } from "../../time/clock.js";
import type { Connection } from "../connection.js";
import { Lot } from "./lot.js";

/** How idle sessions are parked. */
export interface ParkingOptions {
  /** A session is parked when it has needed nothing but answers to beats for this long. Default 5s. */
  readonly after?: string | number;
}

/** So long the sweep may hold up everything else. */
const sliceMs = 10;
/** While the worker starts. */
const againMs = 20;
/** Slots cost memory only once they are used, but there must be an end. */
const mostSlots = 1 << 20;

/** Moves connections of quiet sessions into the lot. */
export class Parking {
  readonly lot: Lot;
  readonly #clock: TimerClock;
  readonly #afterMs: number;
  readonly #connections: ReadonlySet<Connection>;
  #timer: object | null = null;
  #closed = false;

  constructor(options: {
    readonly clock: TimerClock;
    readonly afterMs: number;
    readonly maxSessions: number;
    readonly beatEveryMs: number;
    readonly connections: ReadonlySet<Connection>;
  }) {
    const { clock, afterMs, maxSessions, beatEveryMs, connections } = options;
    this.#clock = clock;
    this.#afterMs = afterMs;
    this.#connections = connections;
    this.lot = new Lot({ clock, capacity: Math.min(maxSessions, mostSlots), beatEveryMs });
  }

  /** A connection is here, new or out of the lot. */
  noticed(): void {
    if (this.#timer === null && !this.#closed) this.#sweepIn(this.#afterMs);
  }

  /** From now on nobody is parked. */
  stop(): void {
    this.#closed = true;
    if (this.#timer !== null) this.#clock.clear(this.#timer);
    this.#timer = null;
  }

  #sweepIn(delayMs: number): void {
    this.#timer = this.#clock.set(() => {
      this.#timer = null;
      this.#sweep();
    }, delayMs);
  }

  #sweep(): void {
    if (this.#connections.size === 0) return;
    if (!this.lot.open) {
      this.#sweepIn(Math.max(againMs, this.#afterMs / 2));
      return;
    }
    const startMs = this.#clock.monotonic();
    const quietSinceMs = startMs - this.#afterMs;
    for (const connection of this.#connections) {
      connection.park(this.lot, quietSinceMs);
      if (this.#clock.monotonic() - startMs < sliceMs) continue;
      // The rest in a moment: those that were parked are not in the set any more.
      this.#sweepIn(1);
      return;
    }
    if (this.#connections.size > 0) this.#sweepIn(Math.max(againMs, this.#afterMs / 2));
  }
}

/**
 * After how long sessions are parked, or null where they are not.
 *
 * @throws DeadpeerError `bad-option`, `bad-duration`; `platform-unsupported` or `ffi-unavailable` where it is asked for and cannot be.
 */
export function parkingAfterMs(
  wanted: boolean | ParkingOptions,
  clock: TimerClock | undefined,
): number | null {
  if (wanted === false) return null;
  const problem = libcProblem();
  if (problem !== null) throw problem;
  if (clock !== undefined && clock !== systemClock)
    throw new DeadpeerError("bad-option", "parking: the lot goes by the system's clock; leave out clock");
  return durationMs((wanted === true ? undefined : wanted.after) ?? "5s", "parking.after");
}
