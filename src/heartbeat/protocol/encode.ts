import { byeReasons, type Hello, limits, type Message, messageTypes } from "./message.js";

/** What every connection begins with, so that a stranger is told from a peer by its first bytes. */
export const magic = Buffer.from("DPHB", "latin1");

export const headerLength = 4;
const nothing = new Uint8Array();
/** type, number, interval, received */
const beatFields = 4 + 4 + 8;
/** magic, version, interval, deadline, longest payload, received */
const helloFields = 4 + 1 + 4 + 4 + 4 + 8;

/**
 * One message as it goes over a stream: a byte for its type, three for the length of what follows, and what follows.
 *
 * @throws RangeError for what cannot be said: a payload or a number out of bounds. That is the caller's mistake, not the peer's.
 * @example socket.write(encode({ type: "acknowledgement", received: 7 }))
 */
export function encode(message: Message): Buffer {
  switch (message.type) {
    case "hello":
      return encodeHello(message);
    case "beat":
    case "answer": {
      const { payload } = message;
      check(payload.length <= limits.beatPayload, `a beat carries ${limits.beatPayload} bytes at most`);
      const frame = frameOf(message.type, beatFields + payload.length);
      frame.writeUInt32BE(message.number >>> 0, 4);
      frame.writeUInt32BE(message.sendEveryMs, 8);
      writeSequence(frame, message.received, 12);
      frame.set(payload, headerLength + beatFields);
      return frame;
    }
    case "data": {
      const { payload } = message;
      check(payload.length <= limits.dataPayload, `a message carries ${limits.dataPayload} bytes at most`);
      const frame = frameOf("data", 8 + payload.length);
      writeSequence(frame, message.sequence, 4);
      frame.set(payload, headerLength + 8);
      return frame;
    }
    case "acknowledgement": {
      const frame = frameOf("acknowledgement", 8);
      writeSequence(frame, message.received, 4);
      return frame;
    }
    default: {
      const text = Buffer.from(message.text).subarray(0, limits.byeText);
      const frame = frameOf("bye", 1 + text.length);
      frame.writeUInt8(byeReasons.indexOf(message.reason), 4);
      frame.set(text, 5);
      return frame;
    }
  }
}

function encodeHello({
  version,
  sendEveryMs,
  deadlineMs,
  maxPayload,
  session,
  token,
  received,
  key,
}: Hello): Buffer {
  check(session === null || session.length === limits.sessionId, "a session's id has 16 bytes");
  check(token.length <= limits.token, `a token has ${limits.token} bytes at most`);
  check(key.length === 0 || key.length === limits.key, `a key has ${limits.key} bytes`);
  const id = session ?? nothing;
  const frame = frameOf("hello", helloFields + 3 + id.length + token.length + key.length);
  frame.set(magic, 4);
  frame.writeUInt8(version, 8);
  frame.writeUInt32BE(sendEveryMs, 9);
  frame.writeUInt32BE(deadlineMs, 13);
  frame.writeUInt32BE(maxPayload, 17);
  writeSequence(frame, received, 21);
  let at = headerLength + helloFields;
  at = writeShort(frame, id, at);
  at = writeShort(frame, token, at);
  writeShort(frame, key, at);
  return frame;
}

/** Bytes with their number before them. @returns where the next field begins. */
function writeShort(frame: Buffer, bytes: Uint8Array, at: number): number {
  frame.writeUInt8(bytes.length, at);
  if (bytes.length > 0) frame.set(bytes, at + 1);
  return at + 1 + bytes.length;
}

function frameOf(type: Message["type"], length: number): Buffer {
  const frame = Buffer.allocUnsafe(headerLength + length);
  frame.writeUInt8(messageTypes[type], 0);
  frame.writeUIntBE(length, 1, 3);
  return frame;
}

/** Eight bytes, of which JavaScript's numbers fill 53 bits: a message each microsecond for 285 years. */
function writeSequence(frame: Buffer, sequence: number, offset: number): void {
  check(Number.isSafeInteger(sequence) && sequence >= 0, `${sequence} is no sequence number`);
  frame.writeUInt32BE(Math.floor(sequence / 2 ** 32), offset);
  frame.writeUInt32BE(sequence >>> 0, offset + 4);
}

function check(holds: boolean, problem: string): void {
  if (!holds) throw new RangeError(problem);
}
