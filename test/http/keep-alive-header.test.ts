import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assert as holds, property, string } from "fast-check";
import { parseKeepAlive } from "../../src/http/keep-alive-header.js";

function read(header: string | readonly string[]): [number | null, number | null] {
  const hint = parseKeepAlive(header);
  assert.ok(hint !== null);
  return [hint.timeoutMs, hint.max];
}

describe("the Keep-Alive header", () => {
  it("is read as servers write it", () => {
    assert.deepEqual(parseKeepAlive("timeout=5"), { timeoutMs: 5_000, max: null, problems: [] });
    assert.deepEqual(parseKeepAlive("timeout=5, max=100"), { timeoutMs: 5_000, max: 100, problems: [] });
    assert.deepEqual(read("max=99,timeout=15"), [15_000, 99]);
    assert.deepEqual(read(" Timeout = 5 ; MAX=7"), [5_000, 7]);
    assert.deepEqual(read('timeout="5", max="8"'), [5_000, 8]);
  });

  it("is absent, or says nothing", () => {
    assert.equal(parseKeepAlive(null), null);
    assert.equal(parseKeepAlive(undefined), null);
    assert.deepEqual(parseKeepAlive(""), { timeoutMs: null, max: null, problems: [] });
    assert.deepEqual(read("close, x=5, timeouts=3"), [null, null]);
    assert.deepEqual(read([]), [null, null]);
  });

  it("takes zero at its word", () => assert.deepEqual(read("timeout=0, max=0"), [0, 0]));

  it("takes the smallest of what is repeated", () => {
    assert.deepEqual(read("timeout=60, timeout=5, max=3, max=9"), [5_000, 3]);
    assert.deepEqual(read(["timeout=60", "timeout=5"]), [5_000, null]);
    assert.deepEqual(read("timeout=abc, timeout=5"), [5_000, null]);
  });

  it("does not believe what is absurd, and names it", () => {
    const hint = parseKeepAlive("timeout=99999999999, max=-1");
    assert.deepEqual(hint, {
      timeoutMs: null,
      max: null,
      problems: ['"timeout=99999999999" is absurd', '"max=-1" is no number'],
    });
    assert.deepEqual(read("timeout=2147483"), [2_147_483_000, null]);
    assert.deepEqual(read("timeout=2147484"), [null, null]);
    assert.deepEqual(read(`timeout=${"9".repeat(400)}`), [null, null]);
  });

  it("does not guess at what is no whole number", () => {
    for (const value of ["", "5s", "1e3", "5.5", "0x10", "+5", "٥", '"5', "5 6", "NaN", "Infinity"]) {
      const hint = parseKeepAlive(`timeout=${value}`);
      assert.equal(hint?.timeoutMs, null, value);
      assert.equal(hint?.problems.length, 1, value);
    }
    assert.equal(parseKeepAlive("timeout")?.problems.length, 1);
  });

  it("is read as far as a header can sensibly go", () => {
    const hint = parseKeepAlive(`timeout=5,${"x".repeat(100_000)}, max=3`);
    assert.deepEqual(hint, { timeoutMs: 5_000, max: null, problems: ["100017 characters long"] });
  });

  it("quotes no terminal escapes", () => {
    assert.deepEqual(parseKeepAlive("timeout=\u001B[2J\u009B1m")?.problems, [
      '"timeout=\\x1b[2J\\x9b1m" is no number',
    ]);
  });

  it("never throws, and never gives anything but whole numbers in range", () => {
    holds(
      property(string({ maxLength: 60 }), string({ maxLength: 60 }), (before, after) => {
        const hint = parseKeepAlive(`${before}timeout=${after}`);
        for (const value of [hint?.timeoutMs, hint?.max])
          assert.ok(
            value === null || (Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 2 ** 31),
          );
      }),
    );
  });
});
