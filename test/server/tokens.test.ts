import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import { test } from "node:test";
import { Tokens } from "../../src/server/tokens.js";

for (const length of [0, 1, 32, 64, 65, 200])
  test(`a token is an HMAC under the secret, of ${length} bytes`, () => {
    const secret = randomBytes(length);
    const tokens = new Tokens(secret);
    for (let n = 0; n < 3; n++) {
      const id = randomBytes(16);
      const expected = createHmac("sha256", secret).update("deadpeer session token").update(id).digest();
      const token = tokens.of(id);
      assert.deepEqual(token, expected);
      assert.ok(tokens.belongs(token, id));
      assert.ok(!tokens.belongs(token, randomBytes(16)));
      assert.ok(!tokens.belongs(token.subarray(1), id));
    }
  });
