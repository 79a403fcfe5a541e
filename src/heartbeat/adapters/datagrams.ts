import type { Socket } from "node:dgram";
import type { HeartbeatAdapter, Peer } from "../adapter.js";
import type { Message } from "../protocol/message.js";
import { DatagramWire } from "../session/datagram-wire.js";

export interface DatagramsOptions {
  /** 32 bytes that both sides know and nobody else; for each pair of programs, and each start of one, another. */
  readonly key: Uint8Array;
  /** 16 bytes that both sides know: datagrams of others are told apart by it. */
  readonly id: Uint8Array;
  /** One of the two sides is the client. */
  readonly side: "client" | "server";
  /** Where the other side is; a side without it waits, and answers to where datagrams come from. */
  readonly peer?: { readonly address: string; readonly port: number };
}

/**
 * Beats of deadpeer's own protocol over a UDP socket, authenticated, without hello and session: for two sides that know of each other
 * already. The socket may carry other things as well, and stays open when the peer is dead.
 *
 * @example heartbeat(overDatagrams(socket, { key, id, side: "client", peer: { address: "192.0.2.1", port: 7443 } }), "normal")
 */
export function overDatagrams(socket: Socket, options: DatagramsOptions): HeartbeatAdapter {
  const { key, id, side } = options;
  let peerAddress = options.peer ?? null;
  let told: Peer | null = null;
  const wire = new DatagramWire({
    key,
    id,
    direction: side === "client" ? "from-client" : "from-server",
    transmit: (datagram) => {
      if (peerAddress !== null) socket.send(datagram, peerAddress.port, peerAddress.address, () => {});
    },
    listener: {
      onMessage: (message) => heard(message),
      onRead: () => {},
      onDrain: () => {},
      onProtocolError: () => {},
    },
  });

  const heard = (message: Message): void => {
    if (message.type === "beat") {
      const payload = told?.beaten(message.payload, message.sendEveryMs) ?? new Uint8Array();
      wire.send({ type: "answer", number: message.number, sendEveryMs: 0, received: 0, payload });
    } else if (message.type === "answer") told?.answered(message.number, message.payload);
    else if (message.type === "bye") told?.ended();
    else told?.heard();
  };

  const onDatagram = (datagram: Buffer, { address, port }: { address: string; port: number }): void => {
    wire.receive(datagram, () => (peerAddress = { address, port }));
  };

  return {
    beat: ({ number, sendEveryMs, payload }) =>
      wire.send({ type: "beat", number, sendEveryMs, received: 0, payload }),
    close: () => wire.destroy(),
    listen(peer) {
      told = peer;
      const onClose = (): void => peer.ended();
      socket.on("message", onDatagram);
      socket.on("close", onClose);
      return () => {
        socket.off("message", onDatagram);
        socket.off("close", onClose);
      };
    },
  };
}
