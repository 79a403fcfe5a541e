import { DeadpeerError } from "../../errors.js";
import { magic } from "./encode.js";
import { byeReasons, limits, type Message, messageTypes } from "./message.js";

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
      return decodeHello(fields);
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

/** Later versions may add fields at the end, which are passed over. */
function decodeHello(fields: Fields): Message {
  if (!fields.bytes(magic.length).equals(magic)) throw malformed("it does not begin with DPHB");
  const hello = {
    type: "hello" as const,
    version: fields.uint8(),
    sendEveryMs: fields.uint32(),
    deadlineMs: fields.uint32(),
    maxPayload: fields.uint32(),
    received: fields.sequence(),
  };
  const session = fields.short(limits.sessionId);
  if (session.length !== 0 && session.length !== limits.sessionId)
    throw malformed(`a session's id of ${session.length} bytes`);
  const token = fields.short(limits.token);
  const key = fields.short(limits.key);
  if (key.length !== 0 && key.length !== limits.key) throw malformed(`a key of ${key.length} bytes`);
  return { ...hello, session: session.length === 0 ? null : session, token, key };
}

/** Reads one field after the other, and never past the end. */
class Fields {
  readonly #body: Buffer;
  #offset = 0;

  constructor(body: Buffer) {
    this.#body = body;
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
    const start = this.#claim(length);
    return this.#body.subarray(start, start + length);
  }

  /** @returns where the next `length` bytes begin. */
  #claim(length: number): number {
    const start = this.#offset;
    const end = start + length;
    if (end > this.#body.length) throw malformed(`${this.#body.length} bytes where ${end} are needed`);
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
