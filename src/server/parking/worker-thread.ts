import { Worker } from "node:worker_threads";
import type { TimerClock } from "../../time/clock.js";
import type { AttendantData, Said } from "./handback.js";
import { Vigil } from "./vigil.js";

/** After being fenced a worker touches no descriptor; its last call into the kernel returns within a second. */
const patienceWithEndMs = 5_000;

export interface WorkerThreadOptions {
  readonly clock: TimerClock;
  /** Instead of deadpeer's own, for tests of what goes wrong. */
  readonly file?: URL | undefined;
  readonly data: AttendantData;
  /** How often it is looked at; one that has stood still for three looks hangs. */
  readonly watchMs: number;
  /** How often it has come round. */
  readonly turns: () => number;
  readonly onMessage: (message: Said) => void;
  readonly onHang: () => void;
  /** @param problem of its own, or that it hung; null: it was told to end. */
  readonly onExit: (problem: Error | null) => void;
}

/**
 * The thread in which an attendant works, from its start to its end.
 *
 * @example
 * const thread = new WorkerThread({ clock, data, watchMs: 2_000, turns, onMessage, onHang, onExit });
 * thread.hold(true); // somebody is parked: the process lives, and the thread is watched
 */
export class WorkerThread {
  /** Resolves when it has ended and `onExit` has returned. */
  readonly exit: Promise<void>;
  readonly #clock: TimerClock;
  readonly #worker: Worker;
  readonly #vigil: Vigil;
  #held = false;
  #ended = false;
  #problem: Error | null = null;

  constructor({ clock, file, data, watchMs, turns, onMessage, onHang, onExit }: WorkerThreadOptions) {
    this.#clock = clock;
    // Options of this process, such as --input-type, need not fit a file.
    this.#worker = new Worker(file ?? new URL("worker.js", import.meta.url), {
      workerData: data,
      execArgv: [],
      name: "deadpeer parking",
      // It makes next to no garbage, and what there is need not be kept for long: unasked, V8 would take ten times as much.
      resourceLimits: { maxYoungGenerationSizeMb: 2 },
    });
    this.#worker.unref();
    this.#vigil = new Vigil({
      clock,
      everyMs: watchMs,
      turns,
      needed: () => this.#held && !this.#ended,
      onHang: () => {
        this.#problem = new Error("the parking worker hangs");
        onHang();
      },
    });
    this.#worker.on("message", onMessage);
    this.#worker.on("error", (error: Error) => {
      this.#problem = error;
    });
    this.exit = new Promise((resolve) => {
      this.#worker.on("exit", () => {
        this.#ended = true;
        this.#vigil.end();
        onExit(this.#problem);
        resolve();
      });
    });
  }

  /** @param busy somebody is here, or may come: the process lives for as long, and the thread is watched. */
  hold(busy: boolean): void {
    if (this.#ended) return;
    if (busy) this.#vigil.keep();
    if (busy === this.#held) return;
    this.#held = busy;
    if (busy) this.#worker.ref();
    else this.#worker.unref();
  }

  /** It has been fenced, and leaves by itself. @param atOnce it has not begun to work, and would not. One that hangs is ended where it stands, too. */
  dismiss(atOnce: boolean): void {
    const terminate = (): void => void this.#worker.terminate();
    if (atOnce || this.#problem !== null) terminate();
    const overdue = this.#clock.set(terminate, patienceWithEndMs);
    void this.exit.then(() => this.#clock.clear(overdue));
  }
}
