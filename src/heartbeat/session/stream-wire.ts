import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { isProtocolError } from "../protocol/decode.js";
import { encode } from "../protocol/encode.js";
import { limits, type Message } from "../protocol/message.js";
import { StreamReader } from "../protocol/stream-reader.js";
import type { Transport, Wire, WireListener } from "./wire.js";

/** More than the longest message, which may wait for a slow peer, and a burst of answers. */
const crowdedBytes = 2 * limits.dataPayload;

/** Where a socket keeps its wire: the listeners are one function each for all wires, so that a connection more costs little. */
const wireOf = Symbol("deadpeer wire");
type WiredSocket = Socket & { [wireOf]?: StreamWire };

/** What a listener of streams may take as it is, to be quick. */
export interface StreamListener extends WireListener {
  /**
   * Bytes that begin where a message begins, after the hello; they may be changed.
   *
   * @returns false: they are to be read as messages.
   */
  takeWhole?(chunk: Buffer): boolean;
}

/** The protocol over a TCP or TLS socket, which is read from now on. */
export class StreamWire implements Wire {
  readonly transport: Transport;
  readonly socket: Socket;
  readonly #reader: StreamReader;
  #listener: StreamListener | null;
  #greeted = false;

  /** @param mayRefuse the other side is a server. @param greeted the hello of this connection has been read before. */
  constructor(socket: Socket, listener: StreamListener, { mayRefuse = false, greeted = false } = {}) {
    this.socket = socket;
    this.#reader = new StreamReader({ mayRefuse, greeted });
    this.#greeted = greeted;
    this.transport = (socket as Partial<TLSSocket>).encrypted === true ? "tls" : "tcp";
    this.#listener = listener;
    (socket as WiredSocket)[wireOf] = this;
    socket.on("data", onData);
    socket.on("drain", onDrain);
  }

  get reliable(): boolean {
    return true;
  }

  get crowded(): boolean {
    return this.socket.writableLength > crowdedBytes;
  }

  get maxPayload(): number {
    return limits.dataPayload;
  }

  get remote(): { address: string; port: number } | null {
    const { remoteAddress: address, remotePort: port } = this.socket;
    return address === undefined || port === undefined ? null : { address, port };
  }

  /** Somebody else listens from now on. */
  handTo(listener: StreamListener): void {
    this.#listener = listener;
  }

  send(message: Message): boolean {
    return this.socket.writable ? this.socket.write(encode(message)) : false;
  }

  end(): void {
    this.#listener = null;
    this.socket.end();
  }

  /** Nobody listens any more; the socket is the caller's. */
  release(): void {
    this.#listener = null;
  }

  destroy(): void {
    this.#listener = null;
    this.socket.destroy();
  }

  /** Nothing is on its way through this process, in either direction. */
  get atRest(): boolean {
    const { socket } = this;
    if (socket.destroyed || socket.readableEnded || socket.writableEnded || socket.isPaused()) return false;
    return socket.readableLength === 0 && socket.writableLength === 0 && !this.#reader.inMessage;
  }

  /** Takes what has arrived. */
  push(chunk: Buffer): void {
    if (this.#listener === null) return;
    if (this.#greeted && !this.#reader.inMessage && this.#listener.takeWhole?.(chunk) === true) return;
    try {
      this.#reader.push(chunk, this);
    } catch (error) {
      if (!isProtocolError(error)) {
        // Not the peer's fault, but a listener's. What follows in the chunk is lost, so the connection cannot go on.
        this.destroy();
        throw error;
      }
      this.#tell((listener) => listener.onProtocolError(error));
      return;
    }
    this.#tell(afterRead);
  }

  /** Whoever listens by now, if anybody does. */
  #tell(what: (listener: StreamListener) => void): void {
    if (this.#listener !== null) what(this.#listener);
  }

  drained(): void {
    this.#listener?.onDrain();
  }

  take(message: Message): void {
    this.#greeted = true;
    this.#listener?.onMessage(message);
  }
}

function afterRead(listener: StreamListener): void {
  listener.onRead();
}

function onData(this: WiredSocket, chunk: Buffer): void {
  this[wireOf]?.push(chunk);
}

function onDrain(this: WiredSocket): void {
  this[wireOf]?.drained();
}
