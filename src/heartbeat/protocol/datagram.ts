import { createHmac, timingSafeEqual } from "node:crypto";
import { decode, malformed } from "./decode.js";
import { headerLength } from "./encode.js";
import { limits, type Message, protocolVersion } from "./message.js";

/** version, direction, id, sequence */
const envelope = { version: 0, direction: 1, id: 2, sequence: 18, bytes: 26 } as const;
const tagLength = 32;

/** The longest that UDP over IPv4 carries (65 507), without what stands around the message. */
export const longestDatagramFrame = 65_507 - envelope.bytes - tagLength;

/** So much of a message's payload fits into a datagram: beside it stand the header and a beat's fields. */
export const datagramPayload = longestDatagramFrame - headerLength - 16;

/** Whose datagram it is: part of what is authenticated, so that none can be sent back to its sender. */
export type Direction = "from-client" | "from-server";

export interface Envelope {
  readonly direction: Direction;
  /** The session's id; in the two hellos over datagrams, what the client has drawn for this one connection. */
  readonly id: Buffer;
  /** Counts up by one from 1, for each direction and key. */
  readonly sequence: number;
}

/**
 * Puts one message, as `encode` made it, into a datagram.
 *
 * @param key 32 bytes that both sides know and nobody else.
 */
export function sealDatagram(
  key: Uint8Array,
  { direction, id, sequence }: Envelope,
  frame: Uint8Array,
): Buffer {
  if (frame.length > longestDatagramFrame)
    throw new RangeError(`a datagram carries ${longestDatagramFrame} bytes at most`);
  const datagram = Buffer.allocUnsafe(envelope.bytes + frame.length + tagLength);
  datagram.writeUInt8(protocolVersion, envelope.version);
  datagram.writeUInt8(direction === "from-client" ? 0 : 1, envelope.direction);
  datagram.set(id.subarray(0, limits.sessionId), envelope.id);
  datagram.writeUInt32BE(Math.floor(sequence / 2 ** 32), envelope.sequence);
  datagram.writeUInt32BE(sequence >>> 0, envelope.sequence + 4);
  datagram.set(frame, envelope.bytes);
  const end = envelope.bytes + frame.length;
  datagram.set(tagOf(key, datagram.subarray(0, end)), end);
  return datagram;
}

/** What a datagram says about itself, before anything about it has been proved; null if it is none of this version. */
export function readEnvelope(datagram: Buffer): Envelope | null {
  if (datagram.length < envelope.bytes + headerLength + tagLength) return null;
  if (datagram.readUInt8(envelope.version) !== protocolVersion) return null;
  const direction = datagram.readUInt8(envelope.direction);
  if (direction > 1) return null;
  const sequence =
    datagram.readUInt32BE(envelope.sequence) * 2 ** 32 + datagram.readUInt32BE(envelope.sequence + 4);
  if (!Number.isSafeInteger(sequence)) return null;
  return {
    direction: direction === 0 ? "from-client" : "from-server",
    id: datagram.subarray(envelope.id, envelope.id + limits.sessionId),
    sequence,
  };
}

/** Whether somebody who has the key made this datagram, just as it is. */
export function isAuthentic(key: Uint8Array, datagram: Buffer): boolean {
  const end = datagram.length - tagLength;
  return end > 0 && timingSafeEqual(tagOf(key, datagram.subarray(0, end)), datagram.subarray(end));
}

/**
 * The message in a datagram that is authentic; null for one of a type that this version does not know.
 *
 * @throws DeadpeerError `heartbeat-protocol`.
 */
export function messageIn(datagram: Buffer): Message | null {
  const frame = datagram.subarray(envelope.bytes, datagram.length - tagLength);
  const length = frame.readUIntBE(1, 3);
  if (headerLength + length !== frame.length)
    throw malformed(`${frame.length - headerLength} bytes in a datagram where ${length} are announced`);
  return decode(frame.readUInt8(0), frame.subarray(headerLength));
}

/**
 * The key of one connection over datagrams, where both sides have a configured one: what somebody has recorded of another connection
 * fits this one no more.
 *
 * @param drawn by the client, the id in the hellos' envelopes; by the server, in the `key` of its hello.
 */
export function connectionKey(
  configured: Uint8Array,
  drawn: { client: Uint8Array; server: Uint8Array },
): Buffer {
  return createHmac("sha256", configured)
    .update("deadpeer datagrams 1")
    .update(drawn.client)
    .update(drawn.server)
    .digest();
}

function tagOf(key: Uint8Array, bytes: Uint8Array): Buffer {
  return createHmac("sha256", key).update(bytes).digest();
}
