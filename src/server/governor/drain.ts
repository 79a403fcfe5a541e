import { Server } from "node:net";
import { durationMs } from "../../plan/duration.js";
import type { Custodian } from "./custodian.js";
import type { Duration } from "./policy.js";

export interface DrainOptions {
  /** What remains then is cut off. Default 10s. */
  readonly within?: Duration;
  /** Ends at once what remains, as does its abort. */
  readonly now?: boolean;
  readonly signal?: AbortSignal;
}

/** What became of the connections that there were when draining began. */
export interface DrainReport {
  readonly connections: number;
  /** Of these, how many were cut off in the middle of something, because the time was over or somebody was in a hurry. */
  readonly cutOff: number;
  readonly tookMs: number;
}

/** The way out of a server: once, from full to empty. */
export class Drain {
  readonly done: Promise<DrainReport>;
  readonly #custodian: Custodian;
  readonly #startMs: number;
  readonly #connections: number;
  #cutOff = 0;
  #finish: (report: DrainReport) => void = () => {};
  #finished = false;
  #stopped = false;

  constructor(server: Server, custodian: Custodian, { within = "10s", signal }: DrainOptions) {
    const withinMs = durationMs(within, "within");
    this.#custodian = custodian;
    this.#startMs = custodian.nowMs;
    this.#connections = custodian.all.size;
    this.done = new Promise((resolve) => {
      this.#finish = resolve;
    });
    // Not the http server's own close(): it destroys idle connections on the spot, also one that a request is on its way to.
    Server.prototype.close.call(server, () => {
      this.#stopped = true;
      this.gone();
    });
    for (const held of custodian.all) custodian.retire(held, "drain", withinMs);
    if (signal?.aborted === true) this.hurry();
    else signal?.addEventListener("abort", () => this.hurry(), { once: true });
  }

  /** Ends what remains. */
  hurry(): void {
    for (const held of this.#custodian.all) this.#custodian.evict(held, "drain", true);
  }

  /** A connection has gone. */
  gone(): void {
    if (this.#finished || !this.#stopped || this.#custodian.all.size > 0) return;
    this.#finished = true;
    this.#finish({
      connections: this.#connections,
      cutOff: this.#cutOff,
      tookMs: this.#custodian.nowMs - this.#startMs,
    });
  }
}
