import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";

/**
 * Tokens that prove that a session is one's own. They are made from the session's id with a secret of the server's, so none has to be
 * kept, and a server that is given its secret back knows those it made before.
 */
export class Tokens {
  readonly secret: Uint8Array;

  constructor(secret: Uint8Array = randomBytes(32)) {
    this.secret = secret;
  }

  of(id: Uint8Array): Buffer {
    return createHmac("sha256", this.secret).update("deadpeer session token").update(id).digest();
  }

  /** Takes the same time whatever is wrong. */
  belongs(token: Uint8Array, id: Uint8Array): boolean {
    const expected = this.of(id);
    return token.length === expected.length && timingSafeEqual(token, expected);
  }
}
