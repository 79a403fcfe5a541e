import type { ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import { baseFd } from "../../guard/inner-socket.js";
import { libcProblem } from "../../kernel/libc.js";
import { transmit } from "../../kernel/socket-io.js";
import { queuedBytes } from "./internals.js";

/** GOAWAY with the highest stream identifier and NO_ERROR: length 8, type 7, no flags, stream 0. */
const notice = Buffer.from("0000080700000000007fffffff00000000", "hex");

/**
 * Asks the client of an HTTP/2 connection to open no more streams (RFC 9113 section 6.8); those that cross the notice are served, and
 * its owner closes the session when no more have come for a while. A GOAWAY alone refuses the requests that cross it.
 *
 * nghttp2 can send such a notice, but Node cannot have it sent, and its own write through the socket would meet an assertion of
 * Node's. So it is given to the kernel directly, at a moment at which libuv has nothing left to write, and so between two frames.
 * Over TLS, or without koffi, there is only the GOAWAY: its client knows which requests were not processed, and may repeat them.
 */
export function announceShutdown(session: ServerHttp2Session, socket: Socket, secure: boolean): void {
  if (session.destroyed || session.closed) return;
  // The first frame has to be SETTINGS, which Node sends by itself.
  const possible = !secure && socket.bytesWritten > 0 && queuedBytes(socket) === 0 && libcProblem() === null;
  const taken = possible ? transmit(baseFd(socket), notice, notice.length) : 0;
  if (taken > 0 && taken < notice.length) {
    // The kernel ran out of memory within seventeen bytes.
    session.destroy();
    return;
  }
  if (taken === 0) closeSession(session);
}

/** No more streams; it ends with its last. */
export function closeSession(session: ServerHttp2Session): void {
  if (!session.destroyed && !session.closed) session.close();
}
