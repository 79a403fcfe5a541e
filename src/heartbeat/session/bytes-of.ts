import { DeadpeerError } from "../../errors.js";

/**
 * The bytes of a message that was given to be sent.
 *
 * @throws DeadpeerError `bad-option` for what is neither text nor bytes, which callers without a type checker give; or for too many.
 * @example bytesOf("hello", limits.dataPayload)
 */
export function bytesOf(payload: Uint8Array | string, most: number): Uint8Array {
  const bytes = typeof payload === "string" ? Buffer.from(payload) : payload;
  if (!(bytes instanceof Uint8Array))
    throw new DeadpeerError(
      "bad-option",
      "a message is text or bytes (a string or a Uint8Array); JSON.stringify makes text of an object",
    );
  if (bytes.length > most)
    throw new DeadpeerError(
      "bad-option",
      `a message of ${bytes.length} bytes is longer than the ${most} allowed`,
    );
  return bytes;
}
