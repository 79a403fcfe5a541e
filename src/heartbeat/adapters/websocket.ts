import { randomBytes } from "node:crypto";
import { innerSocket } from "../../guard/inner-socket.js";
import type { HeartbeatAdapter } from "../adapter.js";
import { overSocket } from "./over-socket.js";

/** What is used of a WebSocket of `ws`, a client's or a server's. */
export interface PingingWebSocket {
  ping(data?: Uint8Array): void;
  terminate(): void;
  on(event: "pong", listener: (data: Uint8Array) => void): unknown;
  off(event: "pong", listener: (data: Uint8Array) => void): unknown;
}

/**
 * Heartbeats by WebSocket's own pings (RFC 6455, section 5.5.2), which any peer answers by itself, browsers too. For open
 * connections of `ws`, on either side; pings of the peer's are answered by `ws`.
 *
 * @throws DeadpeerError `no-socket` if it is not open yet, or no more.
 * @example server.on("connection", (ws) => heartbeat(overWebSocket(ws), "normal"));
 */
export function overWebSocket(ws: PingingWebSocket): HeartbeatAdapter {
  // Tells this heartbeat's pings from the application's own.
  const mark = randomBytes(4);
  return overSocket(innerSocket(ws), {
    beat: ({ number }) => ws.ping(marked(mark, number)),
    close: () => ws.terminate(),
    listen(peer) {
      const onPong = (data: Uint8Array): void => {
        const number = numberIn(data, mark);
        if (number !== null) peer.answered(number);
      };
      ws.on("pong", onPong);
      return () => ws.off("pong", onPong);
    },
  });
}

/** A ping carries up to 125 bytes, and its pong the same. */
function marked(mark: Buffer, number: number): Buffer {
  const bytes = Buffer.alloc(mark.length + 4);
  mark.copy(bytes);
  bytes.writeUInt32BE(number, mark.length);
  return bytes;
}

function numberIn(data: Uint8Array, mark: Buffer): number | null {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  if (bytes.length !== mark.length + 4 || !bytes.subarray(0, mark.length).equals(mark)) return null;
  return bytes.readUInt32BE(mark.length);
}
