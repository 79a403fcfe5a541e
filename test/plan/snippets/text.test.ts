import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { DeadpeerError } from "../../../src/errors.js";
import { detectionTimes } from "../../../src/plan/model.js";
import { linuxLimits, type Settings } from "../../../src/plan/settings.js";
import { snippetFor, snippetTargets } from "../../../src/plan/snippets/index.js";
import { aloneMs, keepaliveAlone, roundSettings } from "../../../src/plan/snippets/rounding.js";

const targets = snippetTargets.map(({ id }) => id);
const range = ({ min, max }: { min: number; max: number }): fc.Arbitrary<number> =>
  fc.oneof(fc.integer({ min, max }), fc.integer({ min, max: Math.min(max, min + 100_000) }));

const anySettings: fc.Arbitrary<Settings> = fc.record(
  {
    keepalive: fc.option(
      fc.record({
        idleMs: range(linuxLimits.idleMs),
        intervalMs: range(linuxLimits.intervalMs),
        count: range(linuxLimits.count),
      }),
    ),
    userTimeoutMs: fc.oneof(fc.constant(0), range(linuxLimits.userTimeoutMs)),
    rtoMaxMs: range(linuxLimits.rtoMaxMs),
  },
  { requiredKeys: ["keepalive", "userTimeoutMs"] },
);

/** Each number of a snippet that stands for a setting, by the name in front of it, and what its program accepts. */
const ranges: readonly (readonly [RegExp, number, number])[] = [
  [/(?:IDLE|idle|_time|idleMs: |TimeSec|Idle:)\W{1,4}(\d+)\b/g, 1, 32_767_000],
  [/(?:INTVL|intvl|INTERVAL|interval|IntervalSec|Interval:)\W{1,4}(\d+)\b/g, 1, 32_767_000],
  [/(?:KEEPCNT|KEEPCOUNT|_probes|Probes|count|-cnt|with_retries|Count:)\W{1,4}(\d+)\b/g, 1, 127],
  [/(?:USER_TIMEOUT|user_timeout|TCP_MAXRT|CONNDROPTIME|tcp-ut)\W{1,4}(\d+)\b/g, 1, 2_147_483_647],
  [/tcp_retries2\W{1,4}(\d+)\b/g, 1, 255],
];

test("every target writes sensible text for any settings", () => {
  fc.assert(
    fc.property(fc.constantFrom(...targets), anySettings, (target, settings) => {
      const { text, notes } = snippetFor(target, settings);
      const all = [text, ...notes].join("\n");
      assert.doesNotMatch(all, /undefined|NaN|Infinity|\[object/);
      if (target !== "node") assert.doesNotMatch(all, /\bnull\b/);
      assert.doesNotMatch(all, /\d\.\d+e|\de[+-]?\d/);
      assert.doesNotMatch(text, /-\d+(?:ms|s)\b/);
      assert.ok(text.length > 0 && !text.endsWith("\n") && !/[ \t]$/m.test(text));
      for (const [pattern, min, max] of ranges)
        for (const [found, digits] of text.matchAll(pattern)) {
          const value = Number(digits);
          // userTimeoutMs: 0 and the like mean "leave it to the system".
          if (/userTimeoutMs/.test(found)) continue;
          assert.ok(value >= min && value <= max, `${target}: ${found}`);
        }
    }),
    { numRuns: 3_000 },
  );
});

test("rounding never notices later, but where a whole second cannot", () => {
  fc.assert(
    fc.property(anySettings, (settings) => {
      const rounded = roundSettings(settings);
      const wantedMs = detectionTimes(settings).idleMs;
      if (rounded.keepalive === null) {
        assert.equal(wantedMs, null);
        return;
      }
      const { idleS, intervalS, count } = rounded.keepalive;
      const keepalive = { idleMs: idleS * 1_000, intervalMs: intervalS * 1_000, count };
      const reachedMs = detectionTimes({ keepalive, userTimeoutMs: rounded.userTimeoutMs }).idleMs;
      assert.ok(wantedMs !== null && reachedMs !== null && reachedMs <= wantedMs);
      assert.ok(rounded.userTimeoutMs <= settings.userTimeoutMs);
      const alone = keepaliveAlone(rounded);
      assert.ok(alone !== null && aloneMs(alone) <= reachedMs, "the count stands in for the user timeout");
    }),
    { numRuns: 3_000 },
  );
});

test("less than a second becomes one, and the note says that it is slower than asked", () => {
  const { keepalive, notes } = roundSettings({
    keepalive: { idleMs: 400, intervalMs: 200, count: 2 },
    userTimeoutMs: 0,
  });
  assert.deepEqual(keepalive, { idleS: 1, intervalS: 1, count: 2 });
  assert.match(notes.join("\n"), /cannot be faster than 3s/);
});

test("whole settings are left as they are, without a note on rounding", () => {
  const rounded = roundSettings({
    keepalive: { idleMs: 20_000, intervalMs: 5_000, count: 3 },
    userTimeoutMs: 35_000,
  });
  assert.deepEqual(rounded, {
    keepalive: { idleS: 20, intervalS: 5, count: 3 },
    userTimeoutMs: 35_000,
    rtoMaxMs: undefined,
    notes: [],
  });
});

test("TCP_RTO_MAX_MS is written where there is a way, and named where there is none", () => {
  const settings: Settings = { keepalive: null, userTimeoutMs: 0, rtoMaxMs: 5_000 };
  for (const target of targets) {
    const { text, notes } = snippetFor(target, settings);
    assert.match(["c", "python", "go"].includes(target) ? text : notes.join("\n"), /TCP_RTO_MAX_MS/, target);
  }
});

test("aliases and capitals find their target", () => {
  const settings: Settings = { keepalive: null, userTimeoutMs: 0 };
  for (const { id, aliases } of snippetTargets)
    for (const name of [id, ...aliases, id.toUpperCase()])
      assert.equal(snippetFor(name, settings).target, id);
  const names = snippetTargets.flatMap(({ id, aliases }) => [id].concat(aliases));
  assert.equal(new Set(names).size, names.length, "a name stands for two targets");
});

test("an unknown target names the nearest", () => {
  assert.throws(
    () => snippetFor("ngnix", { keepalive: null, userTimeoutMs: 0 }),
    (error) =>
      error instanceof DeadpeerError &&
      error.code === "unknown-target" &&
      /nearest is nginx/.test(error.message),
  );
});
