import type { Socket } from "node:net";
import type { Peer } from "./adapter.js";

/**
 * Tells a heartbeat what a socket shows of its peer: everything that arrives, and the end. For adapters over protocols whose program
 * reads the socket by 'data' events, as nearly all do: on one that nobody reads yet, it would make data flow.
 *
 * @returns what takes the listeners off again.
 * @example listen: (peer) => followSocket(ws._socket, peer)
 */
export function followSocket(socket: Socket, peer: Peer): () => void {
  const onData = (): void => peer.heard();
  const onClose = (hadError: boolean): void => peer.ended(hadError);
  socket.on("data", onData);
  socket.on("close", onClose);
  return () => {
    socket.off("data", onData);
    socket.off("close", onClose);
  };
}
