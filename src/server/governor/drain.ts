import { Server } from "node:net";
import { DeadpeerError } from "../../errors.js";
import { durationMs } from "../../plan/duration.js";
import type { Due } from "../agenda.js";
import type { Custodian } from "./custodian.js";
import type { Held } from "./held.js";
import { stopRequestTimer } from "./internals.js";
import type { Duration } from "./policy.js";
import { abortSignal, duration, type Fields, oneOf, problemIn, yesOrNo } from "./shape.js";

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
  /** Connections that are still open and were never held: accepted before the governor began, or it was closed meanwhile. */
  readonly notHeld: number;
  readonly tookMs: number;
}

const fields: Fields<DrainOptions> = {
  within: duration,
  now: yesOrNo,
  signal: abortSignal,
  webSocketCode: oneOf(1001, 1012),
};

interface DrainSettings {
  readonly withinMs: number;
  readonly webSocketCode: 1001 | 1012;
}

/** @throws DeadpeerError `bad-option`, `bad-duration`. */
export function drainSettings(options: DrainOptions): DrainSettings {
  const problem = problemIn(options, fields);
  if (problem !== null) throw new DeadpeerError("bad-option", problem);
  const { within = "10s", webSocketCode = 1001 } = options;
  return { withinMs: durationMs(within, "within"), webSocketCode };
}

/** Destroyed sockets are closed by the event loop a moment later. */
const closingMs = 100;

/** The way out of a server: once, from full to empty. */
export class Drain implements Due {
  place = -1;
  readonly done: Promise<DrainReport>;
  readonly #server: Server;
  readonly #custodian: Custodian;
  readonly #closeDoors: () => void;
  readonly #startMs: number;
  readonly #byMs: number;
  readonly #connections: number;
  readonly #signals = new Set<AbortSignal>();
  #resolve: ((report: DrainReport) => void) | null = null;
  #cutOff = 0;
  #hurried = false;
  /** The server has closed, with its last connection. */
  #stopped = false;

  /** @param closeDoors cuts off those that are on their way in. */
  constructor(
    server: Server,
    custodian: Custodian,
    { withinMs, webSocketCode }: DrainSettings,
    closeDoors: () => void,
  ) {
    this.#server = server;
    this.#custodian = custodian;
    this.#closeDoors = closeDoors;
    this.#startMs = custodian.nowMs;
    this.#byMs = this.#startMs + withinMs;
    this.#connections = custodian.all.size;
    custodian.webSocketCode = webSocketCode;
    this.done = new Promise((resolve) => (this.#resolve = resolve));
    custodian.agenda.enter(this);
    this.#dueIn(withinMs + closingMs);
  }

  begin(): void {
    const { all } = this.#custodian;
    for (const held of all) this.#custodian.retire(held, "drain", this.#leftMs);
    // What has connected by now is accepted first: closing the listener resets those that wait.
    setImmediate(() =>
      closeListener(this.#server, () => {
        stopRequestTimer(this.#server);
        this.#stopped = true;
        this.emptied();
      }),
    );
  }

  /** It had connected before, and is let go like the others. */
  latecomer(held: Held): void {
    this.#custodian.retire(held, "drain", this.#leftMs);
    if (this.#hurried) this.hurry();
  }

  /** Cuts off what remains. */
  readonly hurry = (): void => {
    this.#hurried = true;
    for (const held of this.#custodian.all) this.#custodian.cutOff(held, "drain");
    this.#closeDoors();
    this.#dueIn(closingMs);
  };

  /** Whose abort cuts off what remains. */
  hurryOn(signal: AbortSignal): void {
    if (signal.aborted) this.hurry();
    else if (this.#resolve !== null && !this.#signals.has(signal)) {
      this.#signals.add(signal);
      signal.addEventListener("abort", this.hurry, { once: true });
    }
  }

  /** One of the connections is cut off. */
  countCutOff(): void {
    this.#cutOff++;
  }

  /** Nothing is held any more; connections that were handed to the server by somebody else are not its own. */
  emptied(): void {
    if (this.#stopped && this.#custodian.all.size === 0) this.end();
  }

  /** The time is over, and what is still there is not held. */
  due(): void {
    this.#closeDoors();
    this.end();
  }

  end(): void {
    const resolve = this.#resolve;
    if (resolve === null) return;
    this.#resolve = null;
    this.#custodian.agenda.leave(this);
    for (const signal of this.#signals) signal.removeEventListener("abort", this.hurry);
    const tookMs = this.#custodian.nowMs - this.#startMs;
    this.#server.getConnections((_error, notHeld) =>
      resolve({ connections: this.#connections, cutOff: this.#cutOff, notHeld, tookMs }),
    );
  }

  get #leftMs(): number {
    return Math.max(0, this.#byMs - this.#custodian.nowMs);
  }

  #dueIn(ms: number): void {
    const { agenda } = this.#custodian;
    agenda.set(this, agenda.nowMs + ms);
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
