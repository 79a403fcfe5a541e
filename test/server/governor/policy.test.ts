import assert from "node:assert/strict";
import { createServer } from "node:net";
import { describe, test } from "node:test";
import { DeadpeerError } from "../../../src/errors.js";
import { governorSettings } from "../../../src/server/governor/policy.js";
import { type GovernorPolicy, governServer } from "../../../src/server/index.js";

function problem(policy: unknown): string {
  try {
    governorSettings(policy as GovernorPolicy);
  } catch (error) {
    assert.ok(error instanceof DeadpeerError, String(error));
    return `${error.code} ${error.message}`;
  }
  return assert.fail("it was taken");
}

describe("a policy", () => {
  test("that contradicts itself is refused, with its field named", () => {
    assert.match(problem({ total: 10, perClient: 11 }), /^bad-option perClient: 11 .* total allows, 10/);
    assert.match(problem({ firstByte: "10s", head: "5s" }), /^bad-option firstByte: 10s is longer/);
    assert.match(problem({ firstByte: "10s", idle: "5s" }), /^bad-option firstByte: 10s is longer/);
    assert.match(problem({ idle: "2h", maxAge: "1h" }), /^bad-option idle: 2h is longer/);
    assert.match(problem({ atLimit: "evict" }), /^bad-option atLimit: /);
    assert.match(problem({ firstByte: "10s", handshake: "5s" }), /^bad-option firstByte: .* agreed on, 5s/);
    for (const field of ["firstByte", "handshake", "head"])
      assert.match(
        problem({ [field]: "2h", maxAge: "1h" }),
        new RegExp(`^bad-option ${field}: 2h is longer`),
      );
  });

  test("with something unknown or impossible in it is refused, with its field named", () => {
    assert.match(problem({ idel: "5m" }), /^bad-option idel: is not known; did you mean "idle"\?/);
    assert.match(problem({ proxy: { from: ["10.0.0.0/8"], form: 1 } }), /^bad-option proxy\.form: .*"from"/);
    assert.match(problem({ perClient: 0 }), /^bad-option perClient: 0 /);
    assert.match(problem({ total: 1.5 }), /^bad-option total: 1\.5 /);
    assert.match(problem({ atLimit: "wait" }), /^bad-option atLimit: "wait" /);
    assert.match(problem({ idle: "0" }), /^bad-option idle: 0 /);
    assert.match(problem({ idle: "5" }), /^bad-duration idle: "5" has no unit/);
    assert.match(problem({ maxAge: { after: "1h", jitter: 2 } }), /^bad-option maxAge/);
    assert.match(
      problem({ newPerClient: { count: 3, within: "x" } }),
      /^bad-duration newPerClient\.within: /,
    );
    assert.match(problem({ body: { bytesPerSecond: -1 } }), /^bad-option body\.bytesPerSecond: /);
    assert.match(problem({ client: { ipv6Prefix: 129 } }), /^bad-option client\.ipv6Prefix: /);
    assert.match(problem({ proxy: { from: [] } }), /^bad-option proxy\.from: /);
    assert.match(problem({ proxy: { from: ["10.0.0.0/33"] } }), /^bad-address proxy\.from: /);
    assert.match(problem({ pressure: { descriptors: 1.2 } }), /^bad-option pressure/);
    assert.match(problem({ detect: "1ms" }), /^budget-impossible detect: /);
    for (const nothing of [undefined, null, 5, "idle", []])
      assert.match(problem(nothing), /^bad-option policy: give an object/);
  });

  test("says what to give instead, whatever it was given", () => {
    for (const odd of [10n, Symbol("x"), () => 1, {}, [1], null, true])
      assert.match(problem({ idle: odd }), /^bad-option idle: .* give a duration such as "5m"/);
    for (const odd of [NaN, Infinity, -1, 1e300])
      assert.match(problem({ idle: odd }), /^bad-duration idle: .* give text such as "35s"/);
    for (const odd of [NaN, Infinity, -1, 0, 1.5, 2 ** 53, "100", 10n, null])
      assert.match(problem({ total: odd }), /^bad-option total: .* give a whole number from 1 on/);
    for (const odd of [NaN, Infinity, 0, "500", null])
      assert.match(problem({ body: { bytesPerSecond: odd } }), /^bad-option body\.bytesPerSecond: .* give a/);
    assert.match(problem({ idle: NaN }), /idle: NaN is/);
    assert.match(problem({ total: NaN }), /total: NaN is/);
    assert.match(problem({ body: {} }), /^bad-option body\.bytesPerSecond: is missing/);
    assert.match(problem({ maxAge: {} }), /^bad-option maxAge\.after: is missing/);
    assert.match(problem({ maxAge: { after: "1h", graze: 1 } }), /^bad-option maxAge\.graze: .*"grace"/);
    assert.match(problem({ newPerClient: { count: 5 } }), /^bad-option newPerClient\.within: is missing/);
    assert.match(problem({ newPerClient: 5 }), /^bad-option newPerClient: 5 .* give \{ count: 50/);
    assert.match(problem({ client: { key: "x" } }), /^bad-option client\.key: "x" .* give a function/);
    assert.match(
      problem({ client: { header: { name: "x-real-ip", from: ["::1"] } } }),
      /give "x-forwarded-for" or/,
    );
    assert.match(
      problem({ proxy: { from: "10.0.0.1" } }),
      /^bad-option proxy\.from: "10\.0\.0\.1" .* give a list/,
    );
    assert.match(problem({ pressure: true }), /^bad-option pressure: true .* or null/);
    assert.match(problem({ detect: null }), /^bad-option detect: null .* give a duration/);
  });

  test("is refused before anything is done to the server", () => {
    const server = createServer();
    assert.throws(() => governServer(server, { total: 1, perClient: 2 }), { code: "bad-option" });
    assert.equal(Object.hasOwn(server, "emit"), false);
    using governor = governServer(server, {});
    assert.throws(() => governServer(server, {}), { code: "bad-option", message: /has a governor/ });
    assert.equal(governor.size, 0);
    assert.throws(() => governServer({}, {}), { code: "no-socket" });
    assert.throws(() => governServer(server, {}, { signal: AbortSignal.abort() }), { code: "aborted" });
  });

  test("that says nothing only sheds under pressure", () => {
    const settings = governorSettings({});
    assert.deepEqual(settings.pressure, { descriptors: 0.9, memory: 0.9 });
    assert.deepEqual(governorSettings({ pressure: null }).pressure, { descriptors: null, memory: null });
    assert.deepEqual(governorSettings({ pressure: { memory: null } }).pressure, {
      descriptors: 0.9,
      memory: null,
    });
    assert.equal(settings.times.idleMs, null);
  });
});
