import { DeadpeerError } from "../../errors.js";
import { decodeHello } from "./decode.js";
import { headerLength, magic } from "./encode.js";
import { type Hello, messageTypes } from "./message.js";

/**
 * What most connections begin with: a hello, whole, and nothing behind it.
 *
 * @returns null for anything else, which `StreamReader` can say more about. The session's id, the token and the key are parts of `chunk`.
 * @example const hello = wholeHello(room.subarray(0, length));
 */
export function wholeHello(chunk: Buffer): Hello | null {
  if (chunk.length < headerLength + magic.length || chunk[0] !== messageTypes.hello) return null;
  if (chunk.readUIntBE(1, 3) !== chunk.length - headerLength) return null;
  try {
    return decodeHello(chunk, headerLength);
  } catch (error) {
    if (error instanceof DeadpeerError) return null;
    throw error;
  }
}
