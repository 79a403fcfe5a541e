import type { Server } from "node:net";
import type { TimerClock } from "../../time/clock.js";
import type { Connection } from "../connection.js";
import { Lot } from "./lot.js";
import type { ParkingSettings } from "./options.js";
import type { Reception } from "./shift.js";
import { StreamDoor, type StreamDoorOptions } from "./stream-door.js";

/** So long the sweep may hold up everything else. */
const sliceMs = 10;
/** While the worker starts. */
const againMs = 20;
/** So long `listen` waits for the worker, which a busy machine may start slowly; from then on Node accepts until it is there. */
const mostStartMs = 5_000;

/** Moves connections of quiet sessions into the lot, and has it accept at listeners. */
export class Parking {
  readonly lot: Lot;
  readonly #clock: TimerClock;
  readonly #afterMs: number;
  readonly #connections: ReadonlySet<Connection>;
  readonly #doorOptions: Omit<StreamDoorOptions, "lot">;
  readonly #doors = new Set<StreamDoor>();
  #opened: (() => void)[] = [];
  #timer: object | null = null;
  #closed = false;

  constructor(options: {
    readonly clock: TimerClock;
    readonly settings: ParkingSettings;
    /** Sessions at a time, and connections that will be. */
    readonly capacity: number;
    readonly beatEveryMs: number;
    readonly connections: ReadonlySet<Connection>;
    readonly reception: Reception;
    readonly doors: Omit<StreamDoorOptions, "lot">;
  }) {
    const { clock, settings, capacity, beatEveryMs, connections, reception, doors } = options;
    this.#clock = clock;
    this.#afterMs = settings.afterMs;
    this.#connections = connections;
    this.#doorOptions = doors;
    this.lot = new Lot({
      clock,
      capacity,
      beatEveryMs,
      workers: settings.workers,
      reception,
      onOpen: () => this.#open(),
      onShut: () => this.#shut(),
    });
  }

  /** Listeners at which the lot accepts by itself. */
  get acceptsAt(): number {
    return [...this.#doors].filter(({ atLot }) => atLot).length;
  }

  /**
   * Has the lot accept at a listener, whenever it can.
   *
   * @returns false: it cannot, and the server stays the caller's.
   */
  takeIn(server: Server): boolean {
    const door = StreamDoor.of(server, { ...this.#doorOptions, lot: this.lot });
    if (door === null) return false;
    this.#doors.add(door);
    if (this.lot.open) door.toLot();
    return true;
  }

  /** Until the lot is open, or is not going to be. */
  async opened(): Promise<void> {
    if (this.#closed || !this.lot.opening) return;
    await new Promise<void>((resolve) => {
      const timer = this.#clock.set(resolve, mostStartMs);
      this.#opened.push(() => {
        this.#clock.clear(timer);
        resolve();
      });
    });
  }

  /** A connection is here, new or out of the lot. */
  noticed(): void {
    if (this.#timer === null && !this.#closed) this.#sweepIn(this.#afterMs);
  }

  /** From now on nobody is parked or accepted. Resolves when the listeners are closed. */
  async stop(): Promise<void> {
    this.#closed = true;
    for (const wake of this.#opened.splice(0)) wake();
    if (this.#timer !== null) this.#clock.clear(this.#timer);
    this.#timer = null;
    await Promise.all(Array.from(this.#doors, (door) => door.close()));
  }

  #open(): void {
    for (const wake of this.#opened.splice(0)) wake();
    for (const door of this.#doors) door.toLot();
  }

  #shut(): void {
    for (const wake of this.#opened.splice(0)) wake();
    for (const door of this.#doors) void door.toNode();
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
