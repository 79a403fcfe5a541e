import { DeadpeerError } from "../errors.js";
import { limits } from "./protocol/message.js";
import { throwApart } from "./tell.js";

const nothing = new Uint8Array();

/**
 * What the application has to say with a beat or an answer. Where it throws, or says more than a beat carries, the beat goes without, for
 * the peer must not be taken for dead because of that; the error is thrown by itself, as one of any callback's.
 *
 * @example wire.send({ ...beat, payload: payloadOf(() => status()) })
 */
export function payloadOf(say: (() => Uint8Array | string) | null | undefined): Uint8Array {
  if (say === null || say === undefined) return nothing;
  try {
    const said = say();
    const bytes = typeof said === "string" ? Buffer.from(said) : said;
    if (bytes.length <= limits.beatPayload) return bytes;
    throw new DeadpeerError(
      "bad-option",
      `payload: ${bytes.length} bytes; a beat carries ${limits.beatPayload} at most, send more as a message`,
    );
  } catch (error) {
    throwApart(error);
    return nothing;
  }
}
