import type { ServerResponse } from "node:http";
import type { Server, Socket } from "node:net";
import type { TLSSocket } from "node:tls";

/**
 * Everything that the governor reads of Node beyond its documented interface, in one place. All of it is read only when a
 * connection is looked at, which spares listeners on each request.
 */
interface HttpSocket {
  /** The response that is being answered on this connection. */
  readonly _httpMessage?: (ServerResponse & ContinueState) | null;
  /** Null once the connection was upgraded. */
  readonly parser?: HttpParser | null;
}

/** Of a request with `Expect: 100-continue`. */
interface ContinueState {
  readonly _expect_continue?: boolean;
  readonly _sent100?: boolean;
}

interface HttpParser {
  /** Milliseconds since the request that is being read began; 0 between two. Of the first one: since the connection was opened. */
  duration?(): number;
  headersCompleted?(): boolean;
}

/** What HTTP/1 is doing on a socket; null: it is not spoken here, or no longer. */
export interface HttpState {
  /** The response in progress. */
  readonly response: ServerResponse | null;
  /** Since the request that is not wholly read yet began; 0: there is none. */
  readonly readingMs: number;
  readonly headComplete: boolean;
  /** The client waits to be told that it may send its body. */
  readonly withheld: boolean;
}

export function httpState(socket: Socket): HttpState | null {
  const { parser, _httpMessage: response = null } = socket as HttpSocket;
  if (parser === null || parser === undefined) return null;
  const { _expect_continue: asksFirst = false, _sent100: mayContinue = false } = response ?? {};
  return {
    response,
    readingMs: parser.duration?.() ?? 0,
    headComplete: parser.headersCompleted?.() ?? true,
    withheld: asksFirst && !mayContinue,
  };
}

/** Whether a response waits for another, of a request that came before on the same connection. */
export function waitsInLine(socket: Socket, response: ServerResponse): boolean {
  return (socket as HttpSocket)._httpMessage !== response;
}

/** The socket below a server's TLS socket. */
export function socketBelow(secure: TLSSocket): Socket | null {
  return (secure as unknown as { readonly _parent?: Socket | null })._parent ?? null;
}

/** Bytes that libuv holds because the kernel has not taken them yet. */
export function queuedBytes(socket: Socket): number {
  const handle = (socket as unknown as { readonly _handle?: { readonly writeQueueSize?: number } | null })
    ._handle;
  return handle?.writeQueueSize ?? 0;
}

/** The http server that a WebSocketServer of ws listens on; null: it has none (noServer), or this is none of ws. */
export function serverBehind(webSocketServer: object): unknown {
  return (webSocketServer as { readonly _server?: unknown })._server ?? null;
}

/**
 * Ends the timer by which an http server looks for slow requests: only its own close() does, and a server that is closed in another
 * way would be kept in memory by it.
 */
export function stopRequestTimer(server: Server): void {
  for (const symbol of Object.getOwnPropertySymbols(server))
    if (symbol.description === "http.server.connectionsCheckingInterval")
      clearInterval((server as unknown as Record<symbol, NodeJS.Timeout | undefined>)[symbol]);
}

/** A WebSocket of ws. */
export interface WebSocketLike {
  close(code?: number, reason?: string): void;
}

/** The WebSocket that ws has put onto an upgraded socket; null: something else was upgraded to. */
export function webSocketOn(socket: Socket): WebSocketLike | null {
  for (const symbol of Object.getOwnPropertySymbols(socket)) {
    if (symbol.description !== "websocket") continue;
    const found = (socket as unknown as Record<symbol, unknown>)[symbol] as Partial<WebSocketLike> | null;
    if (typeof found?.close === "function") return found as WebSocketLike;
  }
  return null;
}
