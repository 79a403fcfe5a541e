import type { Socket } from "node:net";
import { type buildConnector, Client, type Dispatcher } from "undici";
import { Attempt, type Lane, type RequestHandler } from "./attempt.js";
import { connected, timeConnect } from "./connected.js";
import { Connection, justUsedMs } from "./connection.js";
import type { ReuseCount } from "./figures.js";
import type { KeepAliveSettings } from "./options.js";
import type { Origin } from "./origin.js";

/** What the clients of one dispatcher share. */
export interface Shared {
  readonly settings: KeepAliveSettings;
  readonly count: ReuseCount;
  /** Sends a request whose client has been closed. */
  readonly dispatch: (options: Dispatcher.DispatchOptions, attempt: Attempt) => void;
}

/** As a pool makes its clients' options. */
export type ClientOptions = Client.Options & { readonly connect: buildConnector.connector };

/** An undici client, which is one connection at a time, that gives up a connection in time and knows what became of each request. */
export class ReusingClient extends Client implements Lane {
  readonly #shared: Shared;
  readonly #line: Line;

  constructor(origin: Origin, options: ClientOptions, shared: Shared) {
    const line = new Line(origin, options.connect, shared);
    const { defaultMs, maxMs } = shared.settings.bounds;
    super(origin.name, {
      ...options,
      // undici's own timer only tidies up. Before a request it is this class that decides, by the clock.
      keepAliveTimeout: Math.max(1, origin.measuredMs ?? defaultMs),
      keepAliveMaxTimeout: Math.max(1, Math.min(maxMs, origin.measuredMs ?? maxMs)),
      keepAliveTimeoutThreshold: shared.settings.slackMs,
      connect: line.connect,
    });
    this.#line = line;
    this.#shared = shared;
  }

  get connection(): Connection | null {
    return this.#line.connection;
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    const justUsed = this.#line.giveUpIfExpired() < justUsedMs;
    if (handler instanceof Attempt) {
      handler.moveTo(this);
      return this.#send(options, handler, justUsed);
    }
    // undici says best what is wrong with a handler.
    if (!isHandler(handler)) return super.dispatch(options, handler);
    const { count, settings } = this.#shared;
    const attempt = new Attempt(options, handler, this, count, settings.replays);
    return this.#send(attempt.options, attempt, justUsed);
  }

  #send(options: Dispatcher.DispatchOptions, attempt: Attempt, justUsed: boolean): boolean {
    attempt.justUsed = justUsed;
    const goOn = super.dispatch(options, attempt);
    // If it is written later, the connection has to be looked at again.
    attempt.justUsed = false;
    return goOn;
  }

  /**
   * Called while undici deals with the end of this client's connection, and by that makes it connect again: what is dispatched here is the
   * first request on the new one.
   */
  repeat(options: Dispatcher.DispatchOptions, attempt: Attempt): void {
    // A pool is closed, and another one made, when the last connection of its origin ends; what runs on it goes on.
    if (this.closed || this.destroyed) this.#shared.dispatch(options, attempt);
    else super.dispatch(options, attempt);
  }
}

function isHandler(handler: object): handler is RequestHandler {
  const { onConnect, onError, onHeaders, onUpgrade } = handler as Partial<RequestHandler>;
  return (
    typeof onConnect === "function" &&
    typeof onError === "function" &&
    typeof (onHeaders ?? onUpgrade) === "function"
  );
}

/** The way to one origin: makes connections and knows the present one. */
class Line {
  connection: Connection | null = null;
  readonly #origin: Origin;
  readonly #base: buildConnector.connector;
  readonly #shared: Shared;

  constructor(origin: Origin, base: buildConnector.connector, shared: Shared) {
    this.#origin = origin;
    this.#base = base;
    this.#shared = shared;
  }

  readonly connect: buildConnector.connector = (options, callback) => {
    const { settings, count } = this.#shared;
    const startedAt = settings.clock.monotonic();
    let connectMs: (() => number | null) | null = null;
    // undici's own connectors return the socket, which its types do not say.
    const pending: unknown = this.#base(options, (...result: [Error, null] | [null, Socket]) => {
      const [error, socket] = result;
      if (error !== null) return callback(error, null);
      try {
        connected(socket, this.#origin, startedAt, connectMs?.() ?? null, count, settings);
      } catch (problem) {
        socket.destroy();
        return callback(problem as Error, null);
      }
      this.connection = new Connection(socket, this.#origin, settings.clock);
      return callback(null, socket);
    });
    connectMs = timeConnect(pending, settings);
  };

  /**
   * undici connects again for the next request once a destroyed socket has closed.
   *
   * @returns for how long the connection that is left has been idle; 0: there is none.
   */
  giveUpIfExpired(): number {
    const { connection } = this;
    if (connection === null) return 0;
    const idleMs = connection.idleMs();
    if (!connection.expired(idleMs)) return idleMs;
    this.#shared.count.expired += 1;
    connection.socket.destroy();
    this.connection = null;
    return 0;
  }
}
