import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { durationMs, formatDuration, parseDuration } from "../../src/plan/duration.js";

test("reads durations as people write them", () => {
  const texts: readonly [string, number][] = [
    ["35s", 35_000],
    ["10m", 600_000],
    ["10min", 600_000],
    ["1h30m", 5_400_000],
    ["1.5s", 1_500],
    ["500ms", 500],
    ["1d", 86_400_000],
    ["0", 0],
    ["0s", 0],
    [" 35s ", 35_000],
  ];
  for (const [text, ms] of texts) assert.equal(parseDuration(text, "--detect"), ms, text);
});

test("refuses the rest with what was wrong and what to write", () => {
  const texts: readonly [string, RegExp][] = [
    ["35", /^--detect: "35" has no unit; write for example 35s/],
    ["35x", /"35x" is not a duration/],
    ["-1s", /"-1s" is negative/],
    ["", /a duration is missing/],
    ["1.s", /not a duration/],
    ["35 s", /not a duration/],
    ["s", /not a duration/],
    ["Infinity", /not a duration/],
    [`${"9".repeat(30)}d`, /too long/],
  ];
  for (const [text, message] of texts)
    assert.throws(() => parseDuration(text, "--detect"), { code: "bad-duration", message }, text);
});

test("never does anything but answer in whole milliseconds or refuse", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9.]{1,5}(ms|s|m|h|d|x)?$/)), (text) => {
      try {
        const ms = parseDuration(text, "--detect");
        assert.ok(Number.isSafeInteger(ms) && ms >= 0);
      } catch (error) {
        assert.equal((error as { code?: string }).code, "bad-duration");
      }
    }),
  );
});

test("takes numbers as milliseconds", () => {
  assert.equal(durationMs(1_500, "outage"), 1_500);
  for (const value of [-1, Number.NaN, Number.POSITIVE_INFINITY])
    assert.throws(() => durationMs(value, "outage"), { code: "bad-duration" });
});

test("writes them short", () => {
  const written: readonly [number | null, string][] = [
    [null, "never"],
    [0, "0ms"],
    [999, "999ms"],
    [999.6, "1s"],
    [35_000, "35s"],
    [5_560, "5.6s"],
    [59_960, "1m"],
    [90_000, "1m 30s"],
    [7_875_000, "2h 11m 15s"],
    [432_000_000, "5d"],
  ];
  for (const [ms, text] of written) assert.equal(formatDuration(ms), text);
});

test("what it writes of whole seconds below a day it reads back", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 86_399 }), (seconds) => {
      const text = formatDuration(seconds * 1_000).replaceAll(" ", "");
      assert.equal(parseDuration(text, "again"), seconds * 1_000);
    }),
  );
});
