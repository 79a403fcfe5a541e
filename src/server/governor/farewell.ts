import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { EvictionReason } from "./assess.js";
import type { Held } from "./held.js";
import { httpState, webSocketOn } from "./internals.js";
import { announceShutdown, closeSession } from "./shutdown-notice.js";

/**
 * Tells the peer that its connection ends soon, as far as its protocol can: HTTP/1 with the response that is under way, HTTP/2 and
 * WebSocket at once.
 */
export function announceEnd(held: Held, nowMs: number, webSocketCode: number): void {
  const app = held.app ?? held.socket;
  if (held.session !== null) {
    held.session.announcedMs = nowMs;
    announceShutdown(held.session.session, held.socket, held.secure);
    return;
  }
  webSocketOn(app)?.close(webSocketCode);
  // Requests may have been pipelined (RFC 9112 section 9.3.2): behind the one that says so, no other would be answered.
  if (held.queued?.writableFinished === true) held.queued = null;
  const response = held.queued ?? httpState(app)?.response ?? null;
  if (response !== null) closeAfter(held, response);
}

/**
 * Has a response say that it is the connection's last, unless it has said otherwise already, and not the one before it.
 *
 * @returns false: the one before it has said so already, and this one cannot be sent any more.
 */
export function closeAfter(held: Held, response: ServerResponse): boolean {
  const { farewell } = held;
  if (farewell !== null && farewell.getHeader("Connection") === "close") {
    if (farewell.headersSent) return false;
    farewell.removeHeader("Connection");
  }
  if (response.headersSent) return true;
  response.setHeader("Connection", "close");
  held.farewell = response;
  return true;
}

/** RFC 6455 section 7.4.1: the endpoint is going away. */
export const goingAway = 1001;

const late = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/**
 * Ends a connection as its protocol wants it, as far as its peer has deserved that.
 *
 * @returns whether it goes on for a moment: until the peer has ended its side as well, or its owner destroys it.
 */
export function sayGoodbye(held: Held, reason: EvictionReason, webSocketCode: number): boolean {
  const app = held.app ?? held.socket;
  switch (reason) {
    case "first-byte":
    case "handshake":
    case "body":
    case "slow-read":
      destroy(held);
      return false;
    case "head":
      if (held.session !== null) {
        destroy(held);
        return false;
      }
      stopServing(app);
      app.end(late);
      return true;
    default:
      return sayGoodbyeInOrder(held, app, webSocketCode);
  }
}

function sayGoodbyeInOrder(held: Held, app: Socket, webSocketCode: number): boolean {
  if (held.secure && held.app === null) {
    destroy(held);
    return false;
  }
  if (held.session !== null) {
    closeSession(held.session.session);
    return true;
  }
  const webSocket = webSocketOn(app);
  if (webSocket !== null) {
    webSocket.close(webSocketCode);
    return true;
  }
  if (httpState(app) !== null) stopServing(app);
  app.end();
  return true;
}

/**
 * What comes from now on is not read as requests: they could not be answered any more, and a request that was carried out without an
 * answer is worse than one of which its client knows that it was not. It is read, though, for closing a socket with unread bytes
 * resets it, and a reset may overtake the last answer.
 */
function stopServing(app: Socket): void {
  // Has Node's HTTP parser let go of the handle.
  app.on("data", discard);
  for (const listener of app.listeners("data"))
    if (listener !== discard) app.off("data", listener as () => void);
  app.resume();
}

function discard(): void {}

/** Ends it at once, whatever is under way. */
export function destroy({ app, socket }: Held): void {
  (app ?? socket).destroy();
}
