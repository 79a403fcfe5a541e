import type { ClientRequest } from "node:http";
import type { Connection } from "./connection.js";
import type { ReuseCount } from "./figures.js";
import type { RequestInternals } from "./node-internals.js";
import { isEndedByPeer, mayRepeat } from "./replay-policy.js";
import { longestKept } from "./repeatable-body.js";

/** What an agent does for a request whose connection was stale. */
export interface Resender {
  readonly count: ReuseCount;
  /** Whether the request has not been sent too often already. */
  mayResend(request: ClientRequest): boolean;
  /** Finds the request a connection that is not an idle one. */
  resend(request: ClientRequest): void;
}

interface Sent {
  readonly data: string | Uint8Array;
  readonly encoding: BufferEncoding | null;
  readonly callback: (() => void) | null;
}

/**
 * Watches a request of node:http that goes over a reused connection. When the server had ended that before any byte of the answer,
 * and the request may be sent again, its 'error' and 'close' are held back and it goes over a new connection, as if it had just been made:
 * with the header that it had, and with what has been written of its body.
 *
 * It does so by standing in front of the request's `emit` and `_send`, and takes no part once the answer has begun.
 */
export function watchRequest(
  request: ClientRequest,
  connection: Connection,
  resender: Resender,
): RequestReplay {
  const watched = request as unknown as RequestInternals;
  const replay = new RequestReplay(watched, connection, resender);
  const emit = watched.emit.bind(watched);
  const send = watched._send.bind(watched);
  watched.emit = (event, ...given) => replay.holdsBack(event, given[0]) || emit(event, ...given);
  watched._send = (data, ...rest) => {
    replay.written(data, rest);
    return send(data, ...rest);
  };
  return replay;
}

export class RequestReplay {
  readonly #request: RequestInternals;
  readonly #connection: Connection;
  readonly #resender: Resender;
  readonly #bytesBefore: number;
  /** What was written after the header; null: too much to be kept. */
  #sent: Sent[] | null;
  /** A request that has waited for its socket has its header, and what was written, waiting with it. */
  readonly #headerSent: boolean;
  #sentLength: number;
  #state: "sent" | "held" | "over" = "sent";
  #destroyedWith: { readonly error: Error | undefined } | null = null;
  #staleError: unknown = null;

  constructor(request: RequestInternals, connection: Connection, resender: Resender) {
    this.#request = request;
    this.#connection = connection;
    this.#resender = resender;
    this.#bytesBefore = connection.socket.bytesRead;
    this.#headerSent = request._headerSent;
    this.#sentLength = request.outputSize;
    this.#sent =
      request.outputSize > longestKept
        ? null
        : request.outputData.map(({ data, encoding }) => ({
            data,
            encoding: encoding ?? null,
            callback: null,
          }));
  }

  /** Asked for every event of the request. */
  holdsBack(event: string | symbol, given: unknown): boolean {
    if (this.#state === "over") return false;
    switch (event) {
      case "error":
        return this.#state === "held" || this.#failed(given);
      case "close":
        return this.#closed();
      case "response":
      case "information":
      case "upgrade":
      case "connect":
        this.#over();
        return false;
      default:
        return false;
    }
  }

  /**
   * Asked for an error of the connection, before anybody else hears of it: there are clients (axios) that listen there and destroy the
   * request.
   */
  holdsSocketError(error: unknown): boolean {
    return this.#state === "sent" && this.#failed(error);
  }

  /** Node emits this with the old connection still in place, and 'close' when it has let go of it. */
  #failed(error: unknown): boolean {
    if (!this.#isStale(error)) return false;
    this.#resender.count.stale += 1;
    if (!this.#mayReplay()) {
      this.#over();
      return false;
    }
    this.#state = "held";
    this.#staleError = error;
    const request = this.#request;
    const destroy = request.destroy.bind(request);
    request.destroy = (reason) => {
      this.#destroyedWith ??= { error: reason };
      return destroy(reason);
    };
    return true;
  }

  #isStale(error: unknown): boolean {
    const { res, destroyed } = this.#request;
    const unanswered = (res ?? null) === null && this.#connection.socket.bytesRead === this.#bytesBefore;
    return unanswered && !destroyed && isEndedByPeer(error);
  }

  #mayReplay(): boolean {
    const { method } = this.#request;
    const key = this.#request.getHeader("idempotency-key");
    const hasKey = key !== undefined && key !== "";
    return (
      this.#resender.mayResend(this.#request as unknown as ClientRequest) &&
      this.#sent !== null &&
      this.#request._header !== null &&
      mayRepeat(method, hasKey)
    );
  }

  #closed(): boolean {
    if (this.#state !== "held") {
      this.#over();
      return false;
    }
    const request = this.#request;
    if (this.#destroyedWith !== null) {
      const { error } = this.#destroyedWith;
      this.#over();
      request.emit("error", error ?? this.#staleError);
      return false;
    }
    // As it was when it was made. Node goes on tidying up after this event, so the rest is done in the next tick.
    request.destroyed = false;
    request._closed = false;
    process.nextTick(() => this.#resend());
    return true;
  }

  #resend(): void {
    const request = this.#request;
    const { socket } = this.#connection;
    const timeoutMs = request.timeoutCb === null ? 0 : (socket.timeout ?? 0);
    request.socket = null;
    request.reusedSocket = false;
    if (!this.#headerSent && request._header !== null)
      this.#queue({ data: request._header, encoding: "latin1", callback: null });
    for (const sent of this.#sent ?? []) this.#queue(sent);
    this.#over();
    request.timeoutCb = null;
    if (timeoutMs > 0) request.setTimeout(timeoutMs);
    this.#resender.count.replayed += 1;
    this.#resender.resend(request as unknown as ClientRequest);
  }

  #queue(sent: Sent): void {
    this.#request.outputData.push(sent);
    this.#request.outputSize += sent.data.length;
  }

  /** @param rest encoding, callback and length, of which Node leaves out what it does not need. */
  written(data: string | Uint8Array, rest: readonly unknown[]): void {
    if (this.#sent === null || this.#state === "over") return;
    this.#sentLength += data.length;
    if (this.#sentLength > longestKept) {
      this.#sent = null;
      return;
    }
    const callback = rest.find((one) => typeof one === "function") as (() => void) | undefined;
    this.#sent.push({
      data,
      encoding: typeof rest[0] === "string" ? (rest[0] as BufferEncoding) : null,
      // What is written to a destroyed socket is lost, and its callback with it; otherwise Node has called it or will.
      callback: this.#request.socket?.destroyed === true ? (callback ?? null) : null,
    });
  }

  #over(): void {
    this.#state = "over";
    this.#sent = null;
  }
}
