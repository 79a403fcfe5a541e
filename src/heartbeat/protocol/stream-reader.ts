import { decode, malformed } from "./decode.js";
import { headerLength, magic } from "./encode.js";
import { limits, type Message, messageTypes } from "./message.js";

/** A sequence number, or a beat's fields, beside the payload. */
const longestBody = limits.dataPayload + 16;
/** With room for what later versions may add. */
const longestHello = 1_024;
const nothing = Buffer.alloc(0);

/** Who takes messages: a function, or an object that needs none made for it. */
export type MessageSink = ((message: Message) => void) | { take(message: Message): void };

/**
 * Cuts a stream into messages, however it arrives: one byte at a time, or many messages at once. It keeps no more than one message
 * that has not yet arrived whole, and no more room for it than twice what has arrived.
 *
 * @example socket.on("data", (chunk) => reader.push(chunk, (message) => session.take(message)))
 */
export class StreamReader {
  #greeted: boolean;
  readonly #mayRefuse: boolean;
  /** The beginning of a message that has not arrived whole, with room behind it. */
  #room = nothing;
  #kept = 0;

  /**
   * @param mayRefuse the other side is a server, which may answer our hello with a bye.
   * @param greeted the hello of this stream has been read before.
   */
  constructor({ mayRefuse = false, greeted = false } = {}) {
    this.#mayRefuse = mayRefuse;
    this.#greeted = greeted;
  }

  /** Whether a message has arrived in part. */
  get inMessage(): boolean {
    return this.#kept > 0;
  }

  /**
   * Takes what arrived and hands over each message that is whole by now. Payloads may be parts of `chunk`: whoever keeps one copies
   * it.
   *
   * @throws DeadpeerError `heartbeat-protocol`; what follows on this stream cannot be understood any more.
   */
  push(chunk: Buffer, sink: MessageSink): void {
    let rest = this.#kept === 0 ? chunk : this.#complete(chunk, sink);
    while (rest.length > 0) {
      const length = this.#lengthOf(rest);
      if (length > rest.length) {
        this.#keep(rest);
        return;
      }
      this.#hand(rest.subarray(0, length), sink);
      rest = rest.subarray(length);
    }
  }

  /** Adds to the message that is kept, first its header and then all of it. Returns what lies behind it. */
  #complete(chunk: Buffer, sink: MessageSink): Buffer {
    let rest = chunk;
    for (;;) {
      const missing = this.#lengthOf(this.#room.subarray(0, this.#kept)) - this.#kept;
      if (missing === 0) break;
      if (rest.length === 0) return rest;
      this.#keep(rest.subarray(0, missing));
      rest = rest.subarray(missing);
    }
    const message = this.#room.subarray(0, this.#kept);
    this.#room = nothing;
    this.#kept = 0;
    this.#hand(message, sink);
    return rest;
  }

  #keep(bytes: Buffer): void {
    const kept = this.#kept + bytes.length;
    if (kept > this.#room.length) {
      const roomier = Buffer.allocUnsafe(Math.max(headerLength, kept, this.#room.length * 2));
      this.#room.copy(roomier, 0, 0, this.#kept);
      this.#room = roomier;
    }
    bytes.copy(this.#room, this.#kept);
    this.#kept = kept;
  }

  /** How many bytes the message that begins here takes; of less than a header, how many that takes. */
  #lengthOf(bytes: Buffer): number {
    if (!this.#greeted) this.#expectHello(bytes);
    if (bytes.length < headerLength) return headerLength;
    const length = bytes.readUIntBE(1, 3);
    const longest = this.#greeted ? longestBody : longestHello;
    if (length > longest) throw malformed(`${length} bytes where ${longest} are allowed`);
    return headerLength + length;
  }

  /** A stranger, such as a browser, is told from a peer by the first bytes it sends, and not waited for. */
  #expectHello(bytes: Buffer): void {
    if (this.#mayRefuse && bytes.readUInt8(0) === messageTypes.bye) return;
    const shown = bytes.subarray(headerLength, headerLength + magic.length);
    if (bytes.readUInt8(0) !== messageTypes.hello || !magic.subarray(0, shown.length).equals(shown))
      throw malformed("it does not begin with a hello");
  }

  #hand(bytes: Buffer, sink: MessageSink): void {
    const message = decode(bytes.readUInt8(0), bytes.subarray(headerLength));
    this.#greeted = true;
    if (message === null) return;
    if (typeof sink === "function") sink(message);
    else sink.take(message);
  }
}
