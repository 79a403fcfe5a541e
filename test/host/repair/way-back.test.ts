import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { changed, heldFrom, type HeldValues, valuesOf } from "../../../src/host/repair/held.js";
import type { RunEntry } from "../../../src/host/repair/run.js";
import { wayBack } from "../../../src/host/repair/way-back.js";
import type { SettingsChange } from "../../../src/plan/settings.js";

const original: HeldValues = [0, 7_200_000, 75_000, 9, 0];

function entry(before: HeldValues, after: HeldValues, carefully = false): RunEntry {
  return {
    cookie: "4711",
    netnsId: "1",
    local: { address: "10.0.0.1", port: 1 },
    remote: { address: "10.0.0.2", port: 2 },
    before,
    after,
    ...(carefully ? { carefully: true } : {}),
  };
}

describe("the way back of one run", () => {
  const after: HeldValues = [1, 20_000, 5_000, 3, 35_000];
  test("leads to what was there", () => {
    const way = wayBack(entry(original, after), after, []);
    assert.deepEqual(way.to, original);
    assert.equal(way.isChangedSince, false);
  });

  test("leaves alone what somebody has set since, and nothing else", () => {
    const way = wayBack(entry(original, after), [1, 20_000, 5_000, 7, 35_000], []);
    assert.deepEqual(way.to, [0, 7_200_000, 75_000, 7, 0]);
    assert.equal(way.isChangedSince, true);
  });

  test("leaves alone what the run did not touch", () => {
    const run = entry([1, 20_000, 5_000, 3, 0], [1, 20_000, 5_000, 3, 35_000]);
    const way = wayBack(run, [0, 20_000, 5_000, 3, 35_000], []);
    assert.deepEqual(way.to, [0, 20_000, 5_000, 3, 0]);
    assert.equal(way.isChangedSince, false);
  });

  test("begins anywhere between two writes of a run that was killed", () => {
    for (let written = 0; written <= 5; written++) {
      const now = original.map((was, option) => (option < written ? after[option] : was));
      const way = wayBack(entry(original, after), now as unknown as HeldValues, []);
      assert.deepEqual(way.to, original);
      assert.equal(way.isChangedSince, false);
    }
  });

  test("begins at what a connection in danger holds meanwhile", () => {
    const before: HeldValues = [1, 60_000, 5_000, 9, 90_000];
    const interim: HeldValues = [1, 20_000, 5_000, 127, 0];
    assert.deepEqual(wayBack(entry(before, after, true), interim, []).to, before);
    assert.equal(wayBack(entry(before, after), interim, []).isChangedSince, true);
  });
});

/** What `set` can be asked for. */
const change: fc.Arbitrary<SettingsChange> = fc.record(
  {
    keepalive: fc.option(
      fc.record(
        {
          idleMs: fc.constantFrom(1_000, 20_000, 7_200_000),
          intervalMs: fc.constantFrom(1_000, 5_000, 75_000),
          count: fc.constantFrom(1, 3, 9),
        },
        { requiredKeys: [] },
      ),
    ),
    userTimeoutMs: fc.constantFrom(0, 10_000, 35_000),
  },
  { requiredKeys: [] },
);

test("runs undone in any order lead back to what was there before all of them", () => {
  fc.assert(
    fc.property(
      fc.array(change, { minLength: 1, maxLength: 5 }),
      fc.infiniteStream(fc.nat()),
      (changes, picks) => {
        let now = original;
        let runs: RunEntry[] = [];
        for (const one of changes) {
          const after = valuesOf(changed(heldFrom(now), one));
          runs.push(entry(now, after));
          now = after;
        }
        while (runs.length > 0) {
          const index = (picks.next().value ?? 0) % runs.length;
          const way = wayBack(runs[index] as RunEntry, now, runs.slice(index + 1));
          assert.equal(way.isChangedSince, false);
          now = way.to;
          runs = [...runs.slice(0, index), ...way.later];
        }
        assert.deepEqual(now, original);
      },
    ),
    { numRuns: 2_000 },
  );
});
