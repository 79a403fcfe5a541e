import type { Duplex } from "node:stream";
import { type Dispatcher, errors } from "undici";
import type { Connection } from "./connection.js";
import type { ReuseCount } from "./figures.js";
import { hasIdempotencyKey, keepAliveIn } from "./raw-headers.js";
import { isEndedByPeer, isHalfClosed, mayRepeat } from "./replay-policy.js";
import { type RepeatableBody, repeatableBody } from "./repeatable-body.js";

/** undici's handler of a request, as its clients see it: handlers of the newer kind reach them in this form as well. */
export interface RequestHandler {
  onConnect(abort: (reason?: Error) => void, context?: unknown): void;
  onError(error: Error): void;
  onUpgrade?(statusCode: number, headers: Buffer[] | null, socket: Duplex): void;
  onResponseStarted?(): void;
  onHeaders(statusCode: number, headers: Buffer[], resume: () => void, statusText: string): boolean;
  onData(chunk: Buffer): boolean;
  onComplete(trailers: string[] | null): void;
  onBodySent?(chunk: unknown, total?: number): void;
  onRequestSent?(): void;
}

/** The client on which a request runs. */
export interface Lane {
  /** null before it has connected. */
  readonly connection: Connection | null;
  /** Sends a request again, as the first thing on the connection that it makes next. */
  repeat(options: Dispatcher.DispatchOptions, attempt: Attempt): void;
}

/** A request on its way, over as many connections as it takes. Stands between undici and the caller's handler. */
export class Attempt implements RequestHandler {
  /** Its connection was found to be so lately used, right before this, that it must still stand. */
  justUsed = false;
  readonly #options: Dispatcher.DispatchOptions;
  readonly #handler: RequestHandler;
  readonly #count: ReuseCount;
  readonly #body: RepeatableBody;
  #lane: Lane;
  #replaysLeft: number;
  #connection: Connection | null = null;
  #bytesBefore = 0;
  #answered = false;
  #started = false;
  /** The connection was found to have ended before anything was written to it. */
  #unsent = false;
  /** undici wants to send it anew, of which the server may have seen the whole. */
  #putBack = false;
  #finished = false;
  #abort: ((reason?: Error) => void) | null = null;

  constructor(
    options: Dispatcher.DispatchOptions,
    handler: RequestHandler,
    lane: Lane,
    count: ReuseCount,
    replays: number,
  ) {
    this.#options = options;
    this.#handler = handler;
    this.#lane = lane;
    this.#count = count;
    this.#replaysLeft = replays;
    this.#body = repeatableBody(options.body);
  }

  /** The request with its body, to be sent now. */
  get options(): Dispatcher.DispatchOptions {
    const body = this.#body.next();
    // As it is wherever that is possible: undici is fastest with options of one shape.
    return body === (this.#options.body ?? null) ? this.#options : { ...this.#options, body: body as Buffer };
  }

  /** For a request whose client has been closed while it waited to be sent again. */
  moveTo(lane: Lane): void {
    this.#lane = lane;
  }

  onConnect(abort: (reason?: Error) => void, context?: unknown): void {
    if (this.#finished) return abort();
    if (this.#abort !== null) {
      // With several requests on a connection undici puts back those that another one's abort or failure has ended it for.
      this.#putBack = true;
      throw new errors.InformationalError("its connection was ended for another request's sake");
    }
    const { connection } = this.#lane;
    if (
      connection?.reused === true &&
      !this.justUsed &&
      this.#body.repeatable &&
      connection.endedUnread(connection.idleMs())
    ) {
      this.#unsent = true;
      return abort();
    }
    this.#abort = abort;
    this.#connection = connection;
    if (connection !== null) {
      connection.requestSent();
      this.#bytesBefore = connection.socket.bytesRead;
      if (connection.reused) {
        this.#count.reused += 1;
        this.#count.handshakeMsSaved += connection.origin.handshakeMs;
      }
    }
    // The caller sees one request, however many connections it takes.
    if (this.#started) return;
    this.#started = true;
    let early: Error | null = null;
    let starting = true;
    this.#handler.onConnect((reason) => {
      if (starting) early ??= reason ?? new errors.RequestAbortedError();
      else this.#abortedByCaller(reason);
    }, context);
    starting = false;
    if (early === null) return;
    // undici's abort would end the connection, on which nothing of this request is, and others may be.
    this.#finish(false);
    this.#handler.onError(early);
    throw early;
  }

  onResponseStarted(): void {
    this.#handler.onResponseStarted?.();
  }

  onHeaders(statusCode: number, headers: Buffer[], resume: () => void, statusText: string): boolean {
    this.#answered = true;
    const connection = this.#connection;
    if (statusCode >= 200 && connection !== null)
      connection.answerStarted(keepAliveIn(headers, connection.keepAlive));
    return this.#handler.onHeaders(statusCode, headers, resume, statusText);
  }

  onData(chunk: Buffer): boolean {
    return this.#handler.onData(chunk);
  }

  onComplete(trailers: string[] | null): void {
    this.#finish(true);
    this.#handler.onComplete(trailers);
  }

  onUpgrade(statusCode: number, headers: Buffer[] | null, socket: Duplex): void {
    this.#finish(true);
    this.#handler.onUpgrade?.(statusCode, headers, socket);
  }

  onBodySent(chunk: unknown, total?: number): void {
    this.#handler.onBodySent?.(chunk, total);
  }

  onRequestSent(): void {
    this.#handler.onRequestSent?.();
  }

  onError(error: Error): void {
    if (this.#finished) return;
    if (this.#unsent) {
      // The server has seen nothing of it, so that any request may go over the next connection.
      this.#unsent = false;
      return this.#lane.repeat(this.options, this);
    }
    if (this.#putBack) {
      this.#putBack = false;
      if (!this.#answered && this.#mayReplay()) return this.#replay();
    } else if (this.#isStale(error)) {
      this.#count.stale += 1;
      if (this.#mayReplay()) {
        this.#count.replayed += 1;
        return this.#replay();
      }
    }
    this.#finish(false);
    this.#handler.onError(error);
  }

  /** The server had ended the connection, which it had kept from an earlier request, and sent no byte since this one was written. */
  #isStale(error: Error): boolean {
    const connection = this.#connection;
    return (
      connection !== null &&
      connection.reused &&
      !this.#answered &&
      (connection.multiplexed
        ? isEndedByPeer(error) || isHalfClosed(error)
        : connection.socket.bytesRead === this.#bytesBefore && isEndedByPeer(error))
    );
  }

  #mayReplay(): boolean {
    const { method, headers, upgrade } = this.#options;
    const { idempotent } = this.#options;
    if (this.#replaysLeft === 0 || idempotent === false || (upgrade !== undefined && upgrade !== null))
      return false;
    const key = hasIdempotencyKey(headers);
    return key !== null && mayRepeat(method, key) && this.#body.repeatable;
  }

  #replay(): void {
    const multiplexed = this.#connection?.multiplexed === true;
    this.#replaysLeft -= 1;
    this.#connection?.requestEnded(false);
    this.#connection = null;
    this.#abort = null;
    // undici fails what waits for an HTTP/2 session together with what was on it: later it does not.
    if (multiplexed) setImmediate(() => this.#finished || this.#lane.repeat(this.options, this));
    else this.#lane.repeat(this.options, this);
  }

  /** May come while the request waits for its next connection, where undici has nothing to abort yet. */
  #abortedByCaller(reason?: Error): void {
    if (this.#finished) return;
    if (this.#abort !== null) return this.#abort(reason);
    this.#finish(false);
    this.#handler.onError(reason ?? new errors.RequestAbortedError());
  }

  #finish(answered: boolean): void {
    this.#finished = true;
    this.#connection?.requestEnded(answered);
    this.#body.close();
  }
}
