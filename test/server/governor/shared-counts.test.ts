import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { SharedCounts } from "../../../src/server/governor/shared-counts.js";

function countsOf(total: number | null, perClient: number | null): SharedCounts {
  const counts = new SharedCounts();
  counts.limits = { total, perClient, newPerClient: null };
  return counts;
}

describe("connections counted over a cluster's workers", () => {
  test("a client's limit is one for all workers, and the total as well", () => {
    const counts = countsOf(3, 2);
    assert.equal(counts.ask(1, "a", 0), null);
    assert.equal(counts.ask(2, "a", 0), null);
    assert.equal(counts.ask(1, "a", 0), "per-client");
    assert.equal(counts.ask(2, "b", 0), null);
    assert.equal(counts.ask(2, "c", 0), "total");
    counts.give(1, "a", 1);
    assert.equal(counts.ask(2, "a", 0), null);
  });

  test("what a worker held is free when it has ended", () => {
    const counts = countsOf(2, 2);
    counts.ask(1, "a", 0);
    counts.ask(2, "b", 0);
    counts.drop(1);
    assert.deepEqual([counts.total, counts.size, counts.countOf("a")], [1, 1, 0]);
    assert.equal(counts.ask(2, "a", 0), null);
  });

  test("more than a worker holds is not given back, and nothing of others", () => {
    const counts = countsOf(null, 5);
    counts.ask(1, "a", 0);
    counts.ask(2, "a", 0);
    counts.give(1, "a", 9);
    counts.give(1, "a", 1);
    counts.give(3, "a", 1);
    assert.equal(counts.countOf("a"), 1);
  });

  test("the rate of new connections is that of a client over all workers", () => {
    const counts = new SharedCounts();
    counts.limits = { total: null, perClient: null, newPerClient: { count: 2, withinMs: 1_000 } };
    assert.deepEqual(
      [counts.ask(1, "a", 0), counts.ask(2, "a", 0), counts.ask(1, "a", 0), counts.ask(1, "b", 0)],
      [null, null, "rate", null],
    );
    assert.equal(counts.ask(2, "a", 500), null);
    // A worker that begins brings the limits along; a client's allowance is not new for that.
    counts.limits = { total: null, perClient: null, newPerClient: { count: 2, withinMs: 1_000 } };
    assert.equal(counts.ask(2, "a", 500), "rate");
  });

  test("who else holds most of a client, or of all", () => {
    const counts = countsOf(null, null);
    counts.add(1, "a", 5);
    counts.add(2, "b", 3);
    counts.add(3, "a", 1);
    assert.deepEqual(
      [counts.mostHolding(1, null), counts.mostHolding(1, "a"), counts.mostHolding(2, "b")],
      [2, 3, null],
    );
  });

  test("whatever workers do, no limit is passed and the sums are right", () => {
    const step = fc.record({
      worker: fc.integer({ min: 1, max: 3 }),
      key: fc.constantFrom("a", "b", "c", "d"),
      what: fc.constantFrom("ask", "ask", "ask", "give", "drop"),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const counts = countsOf(7, 3);
        const model = new Map<string, number>();
        for (const { worker, key, what } of steps) {
          const name = `${worker} ${key}`;
          if (what === "ask" && counts.ask(worker, key, 0) === null)
            model.set(name, (model.get(name) ?? 0) + 1);
          if (what === "give") {
            counts.give(worker, key, 1);
            model.set(name, Math.max(0, (model.get(name) ?? 0) - 1));
          }
          if (what === "drop") {
            counts.drop(worker);
            for (const other of model.keys()) if (other.startsWith(`${worker} `)) model.delete(other);
          }
          const of = (wanted: string): number =>
            [...model].filter(([held]) => held.endsWith(wanted)).reduce((sum, [, count]) => sum + count, 0);
          assert.equal(counts.total, of(""));
          for (const client of ["a", "b", "c", "d"]) {
            assert.equal(counts.countOf(client), of(client));
            assert.ok(counts.countOf(client) <= 3);
          }
          assert.ok(counts.total <= 7);
        }
      }),
    );
  });
});
