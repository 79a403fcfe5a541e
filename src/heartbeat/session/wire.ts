import type { Socket } from "node:net";
import type { Message } from "../protocol/message.js";

export type Transport = "tcp" | "tls" | "udp";

/** One connection that carries messages of the protocol, whatever it is made of. */
export interface Wire {
  readonly transport: Transport;
  /** Everything arrives, once and in order, or the connection ends. */
  readonly reliable: boolean;
  /** The longest data payload that it carries. */
  readonly maxPayload: number;
  /** The TCP or TLS socket, if it has one. */
  readonly socket: Socket | null;
  /** Where the other side is; null: others know. */
  readonly remote: { readonly address: string; readonly port: number } | null;
  /** The other side reads so little that beats of its are not answered any more: it would not see the answers, and they would pile up. */
  readonly crowded: boolean;
  /** @returns false: it took the message, and is full for now; `onDrain` tells. */
  send(message: Message): boolean;
  /** Ends in order, with what was sent before. */
  end(): void;
  /** Ends at once. */
  destroy(): void;
}

/** What becomes known from a wire. */
export interface WireListener {
  /** Payloads may be parts of what was read: whoever keeps one copies it. */
  onMessage(message: Message): void;
  /** Everything that had arrived at once has been handed over. */
  onRead(): void;
  onDrain(): void;
  /** The other side sent what the protocol does not allow; nothing more is read. */
  onProtocolError(problem: Error): void;
}
