import assert from "node:assert/strict";
import { test } from "node:test";
import { trafficOf } from "../../src/plan/traffic.js";

const settings = (idleMs: number, intervalMs: number) => ({
  keepalive: { idleMs, intervalMs, count: 3 },
  userTimeoutMs: 0,
});

test("a probe and its answer each idle time, 52 bytes either way", () => {
  assert.deepEqual(trafficOf(settings(60_000, 10_000)), {
    packetsPerDay: 2_880,
    bytesPerDay: 149_760,
    bytesPerMonth: 4_492_800,
    wakeupsPerDay: 1_440,
  });
});

test("an interval longer than the idle time takes its place", () => {
  assert.equal(trafficOf(settings(1_000, 60_000)).wakeupsPerDay, 1_440);
});

test("totals are of all connections, not of rounded ones", () => {
  const { wakeupsPerDay, total, connections } = trafficOf(settings(7_000, 1_000), 50_000);
  assert.deepEqual([wakeupsPerDay, connections], [12_343, 50_000]);
  assert.equal(total?.wakeupsPerDay, 617_142_857);
});

test("without keepalive nothing is sent", () => {
  assert.equal(trafficOf({ keepalive: null, userTimeoutMs: 1 }, 9).total?.bytesPerMonth, 0);
});
