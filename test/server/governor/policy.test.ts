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
    assert.match(problem(null), /^bad-option policy: /);
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
