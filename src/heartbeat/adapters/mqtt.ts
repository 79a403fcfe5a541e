import type { Duplex } from "node:stream";
import type { HeartbeatAdapter } from "../adapter.js";
import { findSocket } from "./find-socket.js";
import { type OverSocket, overSocket } from "./over-socket.js";

/** What is used of a client of mqtt.js. */
export interface PingingMqttClient {
  readonly stream: unknown;
  sendPing(): void;
  on(event: "packetreceive", listener: (packet: { readonly cmd?: string | null }) => void): unknown;
  off(event: "packetreceive", listener: (packet: { readonly cmd?: string | null }) => void): unknown;
}

/**
 * Heartbeats by MQTT's PINGREQ (MQTT 3.1.1 and 5, section 3.12). For one connection of a client that comes back by itself: when
 * the broker is dead the connection is dropped, and the client connects anew. MQTT over WebSocket has no socket to ask the kernel by.
 *
 * @example client.on("connect", () => heartbeat(overMqtt(client), "normal"));
 */
export function overMqtt(client: PingingMqttClient): HeartbeatAdapter {
  // Of this connection: the client's next has another.
  const stream = client.stream as Duplex;
  const protocol = {
    beat: () => client.sendPing(),
    close: () => void stream.destroy(),
    listen(peer) {
      const onPacket = ({ cmd }: { readonly cmd?: string | null }): void => {
        if (cmd === "pingresp") peer.answered();
        else peer.heard();
      };
      const onClose = (): void => peer.ended(stream.errored !== null);
      client.on("packetreceive", onPacket);
      stream.on("close", onClose);
      return () => {
        client.off("packetreceive", onPacket);
        stream.off("close", onClose);
      };
    },
  } satisfies OverSocket;
  const socket = findSocket(stream);
  return socket === null ? protocol : overSocket(socket, protocol);
}
