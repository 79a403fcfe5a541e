import {
  datagramPayload,
  type Direction,
  isAuthentic,
  messageIn,
  readEnvelope,
  sealDatagram,
} from "../protocol/datagram.js";
import { isProtocolError } from "../protocol/decode.js";
import { encode } from "../protocol/encode.js";
import type { Message } from "../protocol/message.js";
import { ReplayWindow } from "../protocol/replay-window.js";
import type { Wire, WireListener } from "./wire.js";

export interface DatagramWireOptions {
  readonly key: Uint8Array;
  readonly id: Uint8Array;
  /** Of what this side sends. */
  readonly direction: Direction;
  /** Sends bytes to wherever the other side is now. */
  readonly transmit: (datagram: Buffer) => void;
  readonly listener: WireListener;
}

/** The protocol over datagrams, under one key. Nobody says that it ended: only silence does, or a bye. */
export class DatagramWire implements Wire {
  readonly transport = "udp";
  readonly reliable = false;
  readonly crowded = false;
  readonly maxPayload = datagramPayload;
  readonly socket = null;
  readonly remote = null;
  readonly #options: DatagramWireOptions;
  readonly #id: Buffer;
  readonly #seen = new ReplayWindow();
  #sequence = 0;
  #ended = false;

  constructor(options: DatagramWireOptions) {
    this.#options = options;
    this.#id = Buffer.from(options.id);
  }

  send(message: Message): boolean {
    if (this.#ended) return true;
    const { key, direction, transmit } = this.#options;
    // Somebody's answer to a great beat may be greater than a datagram: what it carries is left out, that it lives is said.
    const fitting =
      "payload" in message && message.type !== "data" && message.payload.length > datagramPayload
        ? { ...message, payload: new Uint8Array() }
        : message;
    transmit(sealDatagram(key, { direction, id: this.#id, sequence: ++this.#sequence }, encode(fitting)));
    return true;
  }

  /**
   * Takes a datagram, if it is the other side's, unchanged, and new.
   *
   * @param before what to do once that is certain, before the message is handed on.
   */
  receive(datagram: Buffer, before?: () => void): boolean {
    const { key, direction, listener } = this.#options;
    const envelope = readEnvelope(datagram);
    if (this.#ended || envelope === null || envelope.direction === direction) return false;
    if (!envelope.id.equals(this.#id) || !isAuthentic(key, datagram)) return false;
    if (!this.#seen.take(envelope.sequence)) return false;
    before?.();
    try {
      const message = messageIn(datagram);
      if (message !== null) listener.onMessage(message);
    } catch (error) {
      if (!isProtocolError(error)) throw error;
      listener.onProtocolError(error);
      return true;
    }
    listener.onRead();
    return true;
  }

  end(): void {
    this.#ended = true;
  }

  destroy(): void {
    this.#ended = true;
  }
}
