import { Server } from "node:net";
import { DeadpeerError } from "../../errors.js";
import { durationMs } from "../../plan/duration.js";
import type { Custodian } from "./custodian.js";
import type { Held } from "./held.js";
import type { Duration } from "./policy.js";

export interface DrainOptions {
  /** What remains then is cut off. Default 10s. */
  readonly within?: Duration;
  /** Cuts off at once what remains. */
  readonly now?: boolean;
  /** Its abort does the same. */
  readonly signal?: AbortSignal;
  /** What WebSockets are closed with: 1001, going away, or 1012, service restart. Default 1001. */
  readonly webSocketCode?: 1001 | 1012;
}

export interface DrainReport {
  /** When draining began. */
  readonly connections: number;
  /** How many were cut off in the middle of something, because the time was over or somebody was in a hurry. */
  readonly cutOff: number;
  readonly tookMs: number;
}

/** The way out of a server: once, from full to empty. */
export class Drain {
  readonly done: Promise<DrainReport>;
  readonly #custodian: Custodian;
  readonly #startMs: number;
  readonly #byMs: number;
  readonly #connections: number;
  #cutOff = 0;
  #hurried = false;

  constructor(server: Server, custodian: Custodian, options: DrainOptions) {
    const { within = "10s", signal, webSocketCode = 1001 } = options;
    const withinMs = durationMs(within, "within");
    if (webSocketCode !== 1001 && webSocketCode !== 1012)
      throw new DeadpeerError(
        "bad-option",
        `webSocketCode: ${String(webSocketCode)} is neither 1001 nor 1012`,
      );
    this.#custodian = custodian;
    this.#startMs = custodian.nowMs;
    this.#byMs = this.#startMs + withinMs;
    this.#connections = custodian.all.size;
    custodian.webSocketCode = webSocketCode;
    this.done = new Promise((resolve) => {
      const stopped = (): void => {
        signal?.removeEventListener("abort", this.#onAbort);
        resolve(this.#report());
      };
      // What has connected by now is accepted first: closing the listener resets those that wait.
      setImmediate(() => closeListener(server, stopped));
    });
    for (const held of custodian.all) custodian.retire(held, "drain", withinMs);
    if (signal?.aborted === true) this.hurry();
    else signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** It had connected before, and is let go like the others. */
  latecomer(held: Held): void {
    this.#custodian.retire(held, "drain", Math.max(0, this.#byMs - this.#custodian.nowMs));
    if (this.#hurried) this.hurry();
  }

  /** Cuts off what remains. */
  hurry(): void {
    this.#hurried = true;
    for (const held of this.#custodian.all) this.#custodian.cutOff(held, "drain");
  }

  /** One of the connections is cut off. */
  countCutOff(): void {
    this.#cutOff++;
  }

  readonly #onAbort = (): void => this.hurry();

  #report(): DrainReport {
    return {
      connections: this.#connections,
      cutOff: this.#cutOff,
      tookMs: this.#custodian.nowMs - this.#startMs,
    };
  }
}

/**
 * Not by the http server's own close(): that destroys idle connections on the spot, also one that a request is on its way to.
 *
 * @param stopped called when the last connection has ended as well.
 */
function closeListener(server: Server, stopped: () => void): void {
  if (server.listening) {
    Server.prototype.close.call(server, stopped);
    return;
  }
  // Somebody has closed it before; or it never listened.
  server.getConnections((_error, count) => {
    if (count === 0) stopped();
    else server.once("close", stopped);
  });
}
