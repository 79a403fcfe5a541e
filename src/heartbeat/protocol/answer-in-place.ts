import { headerLength } from "./encode.js";
import { messageTypes } from "./message.js";

/** A beat without a payload: type, length, number, interval, received. */
export const bareBeat = headerLength + 16;
const beatHeader = (messageTypes.beat << 24) | 16;
const answerHeader = ((messageTypes.answer << 24) | 16) >>> 0;

/** What the last of some beats said. */
export interface Said {
  sendEveryMs: number;
  received: number;
}

/**
 * Whether some bytes are beats without payload, whole, and nothing else.
 *
 * @param said is filled with what the last beat says.
 * @returns how many there are; 0: there is something else.
 */
export function readBareBeats(chunk: Buffer, said: Said): number {
  const { length } = chunk;
  if (length === 0 || length % bareBeat !== 0) return 0;
  for (let at = 0; at < length; at += bareBeat) if (chunk.readInt32BE(at) !== beatHeader) return 0;
  const last = length - bareBeat;
  said.sendEveryMs = chunk.readUInt32BE(last + 8);
  said.received = chunk.readUInt32BE(last + 12) * 2 ** 32 + chunk.readUInt32BE(last + 16);
  return length / bareBeat;
}

/** Turns bare beats into their answers, in the very bytes that arrived. */
export function answerBareBeats(chunk: Buffer, own: Readonly<Said>): void {
  const high = Math.floor(own.received / 2 ** 32);
  for (let at = 0; at < chunk.length; at += bareBeat) {
    chunk.writeUInt32BE(answerHeader, at);
    chunk.writeUInt32BE(own.sendEveryMs, at + 8);
    chunk.writeUInt32BE(high, at + 12);
    chunk.writeUInt32BE(own.received >>> 0, at + 16);
  }
}

/**
 * Turns beats into their answers: the most frequent message, and this way it costs little more than an echo. Only where all of it is
 * beats without payload, and whole.
 *
 * @param said is filled with what the last beat says.
 * @returns how many there were; 0: there was something else, and nothing was changed.
 */
export function answerInPlace(chunk: Buffer, own: Readonly<Said>, said: Said): number {
  const count = readBareBeats(chunk, said);
  if (count > 0) answerBareBeats(chunk, own);
  return count;
}
