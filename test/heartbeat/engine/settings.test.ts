import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { spread } from "../../../src/heartbeat/engine/engine.js";
import { beatSettings, profiles } from "../../../src/heartbeat/engine/settings.js";

/** When a death is noticed: at the earliest, and at the latest. */
function noticed({
  idleMs,
  intervalMs,
  count,
}: {
  idleMs: number;
  intervalMs: number;
  count: number;
}): number[] {
  return [idleMs * (1 - spread) + intervalMs * count, idleMs + intervalMs * count];
}

describe("settings of heartbeats", () => {
  test("the profiles notice within the times they promise", () => {
    const [normalFrom = 0, normalTo = 0] = noticed(profiles.normal);
    assert.ok(normalFrom >= 30_000 && normalTo <= 40_000);
    const [demandingFrom = 0, demandingTo = 0] = noticed(profiles.demanding);
    assert.ok(demandingFrom >= 6_000 && demandingTo <= 9_000);
  });

  test("a time to detect becomes settings that hold it, and a path's memory shortens idle", () => {
    const { idleMs, intervalMs, count } = beatSettings({ detectWithin: "35s" });
    assert.ok(idleMs + intervalMs * count <= 35_000);
    assert.ok(beatSettings({ detectWithin: "20m", path: ["aws-nlb"] }).idleMs < 350_000);
  });

  test("one by one, with what the protocol can do", () => {
    assert.deepEqual(
      beatSettings({ idle: "30s", interval: 5_000, count: 2 }, { sendEveryMs: 30_000, answers: false }),
      { idleMs: 30_000, intervalMs: 5_000, count: 2, sendEveryMs: 30_000, answers: false },
    );
  });

  test("what cannot be is refused by name", () => {
    const wrong = [
      [{ idle: "1s", interval: "5s", count: 3 }, /^idle: 1000 ms is less/],
      [{ idle: "1s", interval: "0s", count: 3 }, /^interval: 0 ms/],
      [{ idle: "5s", interval: "1s", count: 0 }, /^count: 0/],
      [{ idle: "5s", interval: "1s", count: 1.5 }, /^count: 1.5/],
      [{ idle: "5", interval: "1s", count: 1 }, /has no unit/],
      ["fast", /no profile "fast"; take one of normal, demanding/],
      [{ detectWithin: "1ms" }, /./],
    ] as const;
    for (const [wanted, message] of wrong) assert.throws(() => beatSettings(wanted as never), { message });
    assert.throws(() => beatSettings("normal", { sendEveryMs: 1_000 }), { message: /promised/ });
  });
});
