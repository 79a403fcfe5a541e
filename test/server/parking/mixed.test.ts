import assert from "node:assert/strict";
import { test } from "node:test";
import { mixedLoad, type MixedLoadResult } from "./mixed/mixed-load.js";

// In full: node .build/test/server/parking/mixed/main.js both 10000 600
const sessions = Number(process.env["SESSIONS"] ?? 500);
const seconds = Number(process.env["SECONDS"] ?? 5);
const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
/** What a worker thread has of its own, for as long as it is there: an epoll set or two, and what rings it. */
const workers = 32;
const results: MixedLoadResult[] = [];

for (const parking of [true, false])
  test(`a mixed load of ${sessions} sessions, parking ${parking ? "on" : "off"}: every byte is accounted for, and nothing leaks (SEED=${seed})`, {
    timeout: 300_000,
  }, async (context) => {
    const result = await mixedLoad({
      sessions,
      seconds,
      parking,
      seed,
      log: (line) => context.diagnostic(line),
    });
    results.push(result);
    context.diagnostic(JSON.stringify(result));
    assert.deepEqual(result.problems, []);
    assert.deepEqual([result.refused, result.retries], [0, 0]);
    assert.equal(result.status, 0, "the server's process ended by itself");
    assert.ok(result.killed > 0);
    for (const verdict of ["closed", "reset", "unresponsive", "evicted"])
      assert.ok((result.verdicts[verdict] ?? 0) > 0, verdict);
    const { empty, settled, after: left } = result.descriptors;
    assert.equal(settled.sockets - empty.sockets, sessions, "a session is one descriptor");
    assert.equal(left.sockets, empty.sockets);
    assert.ok(left.all <= empty.all + workers, `${left.all} descriptors, ${empty.all} before`);
    assert.equal(result.parkedSettled, parking ? sessions : 0);
  });

test("what the clients said and heard, and how they were judged, is the same parked or not", () => {
  assert.equal(results[0]?.digest, results[1]?.digest);
});
