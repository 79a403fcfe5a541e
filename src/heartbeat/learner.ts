import { durationMs } from "../plan/duration.js";
import { DeadpeerError } from "../errors.js";
import { systemClock } from "../kernel/clock.js";
import type { Clock } from "../time/clock.js";
import { AdaptiveInterval, type LearnedInterval } from "./engine/adaptive.js";
import { longestMs } from "./protocol/message.js";
import { attempt } from "./tell.js";
import { IntervalFile, type IntervalStore } from "./interval-file.js";

export interface LearnerOptions {
  /** The shortest interval, where learning begins. */
  readonly floor: string | number;
  /** The longest. */
  readonly ceiling: string | number;
  /** What tells this network from others, such as the name of a WLAN, or the way to a server. */
  readonly network: string;
  /** How closely the truth is to be found. Default 2.5s. */
  readonly resolution?: string | number;
  /** Default: a file of this user's, for all programs. */
  readonly store?: IntervalStore;
}

/** A round trip seldom takes longer. */
const tidyMs = 1_000;

/** @throws DeadpeerError `bad-option`, `bad-duration`. */
export function learnerTimes({
  floor,
  ceiling,
  resolution = 2_500,
}: Pick<LearnerOptions, "floor" | "ceiling" | "resolution">): {
  floorMs: number;
  ceilingMs: number;
  resolutionMs: number;
} {
  const floorMs = durationMs(floor, "floor");
  const ceilingMs = durationMs(ceiling, "ceiling");
  if (floorMs === 0) throw new DeadpeerError("bad-option", "floor: 0 is no interval; give more than 0");
  if (ceilingMs < floorMs)
    throw new DeadpeerError("bad-option", `ceiling: ${ceilingMs} ms is below the floor of ${floorMs} ms`);
  // Beside the round trip that is promised with it.
  if (ceilingMs > longestMs - tidyMs)
    throw new DeadpeerError(
      "bad-option",
      `ceiling: ${ceilingMs} ms is more than the ${longestMs} ms that can be told a peer`,
    );
  return { floorMs, ceilingMs, resolutionMs: durationMs(resolution, "resolution") };
}

/**
 * The interval that one network bears, learned over many connections: give the same learner to each of them.
 *
 * @example
 * const learner = new IntervalLearner({ floor: "10s", ceiling: "10m", network: "office wlan" });
 * heartbeat(adapter, "normal", { learner });
 */
export class IntervalLearner {
  readonly network: string;
  readonly #store: IntervalStore;
  readonly #clock: Clock;
  readonly #adaptive: AdaptiveInterval;
  #kept: string | null = null;

  /** @throws DeadpeerError `bad-option`, `bad-duration`. */
  constructor(
    { floor, ceiling, network, resolution = 2_500, store }: LearnerOptions,
    clock: Clock = systemClock,
  ) {
    const times = learnerTimes({ floor, ceiling, resolution });
    this.network = network;
    this.#store = store ?? IntervalFile.ofUser();
    this.#clock = clock;
    this.#adaptive = new AdaptiveInterval({
      ...times,
      known: this.#store.load(network),
      now: clock.now(),
    });
  }

  /** How long to be silent before the next beat. */
  get intervalMs(): number {
    return this.#adaptive.intervalMs;
  }

  /**
   * What the peer is told: this side sends something at least so often. The silence that is tried counts from the last answer, which
   * takes its time to come.
   */
  get promiseMs(): number {
    return this.intervalMs + tidyMs;
  }

  /** Whether there is nothing left to find out. */
  get settled(): boolean {
    return this.#adaptive.settled;
  }

  get learned(): LearnedInterval {
    return this.#adaptive.learned;
  }

  /** A beat after nothing had gone either way for `silenceMs` was answered. */
  survived(silenceMs: number): void {
    this.#adaptive.survived(silenceMs, this.#clock.now());
    this.#keep();
  }

  /** The connection was lost at the first beat after such a silence. */
  lost(silenceMs: number): void {
    this.#adaptive.lost(silenceMs, this.#clock.now());
    this.#keep();
  }

  /** What is the same but for its date is written once a day. */
  #keep(): void {
    const { learned } = this.#adaptive;
    const now = `${learned.goodMs} ${learned.badMs} ${Math.floor(learned.at / 86_400_000)}`;
    if (now === this.#kept) return;
    this.#kept = now;
    attempt(() => this.#store.save(this.network, learned), undefined);
  }
}
