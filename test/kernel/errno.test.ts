import assert from "node:assert/strict";
import { constants } from "node:os";
import { test } from "node:test";
import { errnoName, errnoText } from "../../src/kernel/errno.js";
import { run } from "./support.js";

test("names are those of the C library, as python3 has them", () => {
  const known = new Set(Object.values(constants.errno));
  const script = "import errno, json; print(json.dumps(list(errno.errorcode.items())))";
  const expected = JSON.parse(run("python3", ["-c", script])) as [number, string][];
  // Numbers with two names, of which python3 prefers the other.
  const sameAs: Readonly<Record<string, string>> = {
    ENOTSUP: "EOPNOTSUPP",
    EWOULDBLOCK: "EAGAIN",
    EDEADLOCK: "EDEADLK",
  };
  let compared = 0;
  for (const [number, name] of expected) {
    if (!known.has(number)) continue;
    assert.equal(errnoName(number), sameAs[name] ?? name);
    assert.equal(errnoName(-number), sameAs[name] ?? name);
    compared++;
  }
  assert.ok(compared > 70, String(compared));
});

test("a number without a name", () => {
  assert.equal(errnoName(4_711), "errno 4711");
  assert.equal(errnoText(4_711), "the system gave no reason");
});

test("texts are for people", () => {
  assert.equal(errnoText(constants.errno.ETIMEDOUT), "connection timed out");
  assert.equal(errnoText(constants.errno.EPERM), "operation not permitted");
});
