import * as crypto from "node:crypto";
import { limits } from "../heartbeat/protocol/message.js";

const { createHmac, randomBytes, timingSafeEqual } = crypto;

const purpose = Buffer.from("deadpeer session token");
/** Of SHA-256, in bytes. */
const block = 64;
/** The shorter way to a hash; Node has it since 20.12. */
const hash = (crypto as Partial<typeof crypto>).hash as
  | ((algorithm: string, data: Uint8Array, encoding: "latin1") => string)
  | undefined;

/**
 * Tokens that prove that a session is one's own. They are made from the session's id with a secret of the server's, so none has to be
 * kept, and a server that is given its secret back knows those it made before.
 */
export class Tokens {
  readonly secret: Uint8Array;
  readonly #mac: (id: Uint8Array) => Buffer;

  constructor(secret: Uint8Array = randomBytes(32)) {
    this.secret = secret;
    // A longer key is hashed first (RFC 2104 section 2), which is left to Node.
    this.#mac =
      hash === undefined || secret.length > block
        ? (id) => createHmac("sha256", secret).update(purpose).update(id).digest()
        : quickMac(secret, hash);
  }

  /** @param id of 16 bytes. */
  of(id: Uint8Array): Buffer {
    return this.#mac(id);
  }

  /** Takes the same time whatever is wrong. */
  belongs(token: Uint8Array, id: Uint8Array): boolean {
    const expected = this.of(id);
    return token.length === expected.length && timingSafeEqual(token, expected);
  }
}

/**
 * HMAC (RFC 2104) without an object for each, which every new session would pay for: a third of the time. The hashes go by text of
 * one byte a character, for a Buffer of such a small one costs as much as the hash itself.
 */
function quickMac(secret: Uint8Array, sha256: NonNullable<typeof hash>): (id: Uint8Array) => Buffer {
  const inner = Buffer.alloc(block + purpose.length + limits.sessionId, 0x36);
  inner.set(purpose, block);
  const outer = Buffer.alloc(block + 32, 0x5c);
  for (const [at, byte] of secret.entries()) {
    inner[at] = byte ^ 0x36;
    outer[at] = byte ^ 0x5c;
  }
  return (id) => {
    inner.set(id, block + purpose.length);
    outer.write(sha256("sha256", inner, "latin1"), block, "latin1");
    return Buffer.from(sha256("sha256", outer, "latin1"), "latin1");
  };
}
