import type { TimerClock } from "../time/clock.js";
import { Deadlines } from "../time/deadlines.js";
import type { TimerWheelOptions } from "../time/timer-wheel.js";

/** Something that has a deadline now and then. */
export interface Due {
  /** Its number on the agenda; -1: it is not on it. */
  place: number;
  due(nowMs: number): void;
}

/** The deadlines of everything that a server holds, on one timer. */
export class Agenda {
  readonly #clock: TimerClock;
  readonly #deadlines: Deadlines;
  readonly #entries: (Due | null)[] = [];
  readonly #free: number[] = [];

  constructor(
    clock: TimerClock,
    onStandstill: (lateMs: number) => void,
    wheel: Pick<TimerWheelOptions, "tickMs" | "slots"> = {},
  ) {
    this.#clock = clock;
    this.#deadlines = new Deadlines({
      ...wheel,
      clock,
      onDue: (place) => this.#entries[place]?.due(clock.monotonic()),
      onStandstill,
    });
  }

  get nowMs(): number {
    return this.#clock.monotonic();
  }

  /** Gives a thing a place, where it has none. */
  enter(thing: Due): void {
    thing.place = this.#free.pop() ?? this.#entries.length;
    this.#entries[thing.place] = thing;
  }

  /** Takes it back. */
  leave(thing: Due): void {
    if (this.#entries[thing.place] !== thing) return;
    this.#deadlines.delete(thing.place);
    this.#entries[thing.place] = null;
    this.#free.push(thing.place);
    thing.place = -1;
  }

  set(thing: Due, atMs: number): void {
    if (this.#entries[thing.place] === thing) this.#deadlines.set(thing.place, atMs);
  }

  /** It has no deadline for now. */
  rest(thing: Due): void {
    if (this.#entries[thing.place] === thing) this.#deadlines.delete(thing.place);
  }

  close(): void {
    this.#deadlines.close();
  }
}
