import { DeadpeerError } from "../../errors.js";
import { magic } from "./encode.js";
import { byeReasons, type Hello, limits, type Message, messageTypes } from "./message.js";

const magicNumber = magic.readUInt32BE();
const nothing = Buffer.alloc(0);

/**
 * What a message's type and body say. A type that this version does not know is nothing to complain about.
 *
 * @returns null for an unknown type. A payload is a part of `body`, not a copy.
 * @throws DeadpeerError `heartbeat-protocol` for a body that its type does not allow.
 */
export function decode(type: number, body: Buffer): Message | null {
  const fields = new Fields(body);
  switch (type) {
    case messageTypes.hello:
      return helloOf(fields);
    case messageTypes.beat:
    case messageTypes.answer:
      return {
        type: type === messageTypes.beat ? "beat" : "answer",
        number: fields.uint32(),
        sendEveryMs: fields.uint32(),
        received: fields.sequence(),
        payload: fields.rest(limits.beatPayload),
      };
    case messageTypes.data:
      return { type: "data", sequence: fields.sequence(), payload: fields.rest(limits.dataPayload) };
    case messageTypes.acknowledgement:
      return { type: "acknowledgement", received: fields.sequence() };
    case messageTypes.bye:
      return {
        type: "bye",
        // A reason that came later than this code.
        reason: byeReasons[fields.uint8()] ?? "done",
        text: Buffer.from(fields.rest(limits.byeText)).toString("utf8"),
      };
    default:
      return null;
  }
}

/** @param start where in `bytes` the body begins. See `decode`. */
export function decodeHello(bytes: Buffer, start: number): Hello {
  return helloOf(new Fields(bytes, start));
}

/** Later versions may add fields at the end, which are passed over. */
function helloOf(fields: Fields): Hello {
  if (fields.uint32() !== magicNumber) throw malformed("it does not begin with DPHB");
  const version = fields.uint8();
  const sendEveryMs = fields.uint32();
  const deadlineMs = fields.uint32();
  const maxPayload = fields.uint32();
  const received = fields.sequence();
  const id = fields.short(limits.sessionId);
  const session = id.length === 0 ? null : id;
  if (session !== null && session.length !== limits.sessionId)
    throw malformed(`a session's id of ${session.length} bytes`);
  const token = fields.short(limits.token);
  const key = fields.short(limits.key);
  if (key.length !== 0 && key.length !== limits.key) throw malformed(`a key of ${key.length} bytes`);
  // As one literal: a copy with more fields costs as much as all the rest.
  return { type: "hello", version, sendEveryMs, deadlineMs, maxPayload, received, session, token, key };
}

/** Reads one field after the other, and never past the end. */
class Fields {
  readonly #body: Buffer;
  readonly #start: number;
  #offset: number;

  constructor(body: Buffer, start = 0) {
    this.#body = body;
    this.#start = start;
    this.#offset = start;
  }

  uint8(): number {
    return this.#body.readUInt8(this.#claim(1));
  }

  uint32(): number {
    return this.#body.readUInt32BE(this.#claim(4));
  }

  sequence(): number {
    const start = this.#claim(8);
    const sequence = this.#body.readUInt32BE(start) * 2 ** 32 + this.#body.readUInt32BE(start + 4);
    if (!Number.isSafeInteger(sequence)) throw malformed("a sequence number beyond 2^53");
    return sequence;
  }

  /** Bytes with their number before them. */
  short(most: number): Buffer {
    const length = this.uint8();
    if (length > most) throw malformed(`${length} bytes where ${most} are allowed`);
    return this.bytes(length);
  }

  rest(most: number): Buffer {
    const length = this.#body.length - this.#offset;
    if (length > most) throw malformed(`a payload of ${length} bytes where ${most} are allowed`);
    return this.bytes(length);
  }

  bytes(length: number): Buffer {
    if (length === 0) return nothing;
    const start = this.#claim(length);
    return this.#body.subarray(start, start + length);
  }

  /** @returns where the next `length` bytes begin. */
  #claim(length: number): number {
    const start = this.#offset;
    const end = start + length;
    if (end > this.#body.length)
      throw malformed(`${this.#body.length - this.#start} bytes where ${end - this.#start} are needed`);
    this.#offset = end;
    return start;
  }
}

export function malformed(problem: string): DeadpeerError {
  return new DeadpeerError("heartbeat-protocol", `the peer sent a message that cannot be: ${problem}`);
}

/** What the peer did, told from what the application throws while it is handed a message. */
export function isProtocolError(error: unknown): error is DeadpeerError {
  return error instanceof DeadpeerError && error.code === "heartbeat-protocol";
}
