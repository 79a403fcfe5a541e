import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { addressesOf, formatEndpoint, parseHostPort } from "../../../src/client/nat/target.js";

const never = new AbortController().signal;

describe("a server's name and port", () => {
  for (const [text, host, port] of [
    ["db.example:5432", "db.example", 5_432],
    ["db.example", "db.example", 7_007],
    ["192.0.2.1:443", "192.0.2.1", 443],
    ["[2001:db8::1]:443", "2001:db8::1", 443],
    ["[2001:db8::1]", "2001:db8::1", 7_007],
    ["2001:db8::1", "2001:db8::1", 7_007],
    ["[fe80::1%eth0]:80", "fe80::1%eth0", 80],
  ] as const)
    test(text, () => assert.deepEqual(parseHostPort(text), { host, port }));

  for (const text of [
    "",
    ":80",
    "a:",
    "a:b",
    "a:0",
    "a:65536",
    "a b:80",
    "[a]:80",
    "[::1",
    "::1]:80",
    "a/24:80",
    "a:80:90",
  ])
    test(`"${text}" is refused`, () => {
      assert.throws(() => parseHostPort(text), { code: "bad-address" });
    });

  test("an endpoint is written as it is read", () => {
    for (const text of ["192.0.2.1:443", "[2001:db8::1]:443"]) {
      const { host, port } = parseHostPort(text);
      assert.equal(formatEndpoint(host, port), text);
    }
  });

  test("addresses of a family only", async () => {
    assert.deepEqual(await addressesOf({ host: "::1", port: 1 }, null, never), [
      { address: "::1", family: 6, port: 1 },
    ]);
    await assert.rejects(addressesOf({ host: "::1", port: 1 }, 4, never), { code: "bad-option" });
    await assert.rejects(addressesOf({ host: "nowhere.invalid", port: 1 }, null, never), {
      code: "cannot-connect",
      message: /^nowhere\.invalid has no address: /,
    });
  });

  test("a name server that hangs is waited for until the signal fires", async () => {
    const abort = new AbortController();
    const waiting = addressesOf({ host: "nowhere.invalid", port: 1 }, null, abort.signal);
    const reason = new Error("enough");
    abort.abort(reason);
    await assert.rejects(waiting, reason);
  });
});
