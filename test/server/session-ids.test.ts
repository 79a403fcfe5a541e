import assert from "node:assert/strict";
import { test } from "node:test";
import { SessionIds } from "../../src/server/session-ids.js";

test("ids are of 16 bytes, and no two of some thousand are alike, within a pool and across pools", () => {
  const ids = new SessionIds();
  const seen = new Set<string>();
  for (let n = 0; n < 3_000; n++) {
    const id = ids.draw();
    assert.equal(id.length, 16);
    seen.add(id.toString("hex"));
  }
  assert.equal(seen.size, 3_000);
});
