import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { lateMs, suspendedMs } from "../../src/guard/pause.js";

describe("our own pauses", () => {
  test("a machine's sleep is what people's clock has more than the monotonic one", () => {
    assert.equal(suspendedMs({ wallMs: 3_605_000, monotonicMs: 5_000 }), 3_600_000);
    assert.equal(suspendedMs({ wallMs: 5_900, monotonicMs: 5_000 }), null);
    assert.equal(suspendedMs({ wallMs: 1_000, monotonicMs: 5_000 }), null);
  });

  test("a process's pause is what the silence has more than the settings and the timer wheel allow", () => {
    assert.equal(lateMs(64_000, 100_000, 4_000), 59_492);
    assert.equal(lateMs(37_276, 100_000, 35_000), null);
  });

  test("a silence from before the guard is not our pause", () => {
    assert.equal(lateMs(600_000, 4_100, 4_000), null);
  });
});
