import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { HeldSettings } from "../../../src/host/repair/held.js";
import {
  dangerOf,
  meanwhile,
  type Moment,
  patienceMs,
  withheld,
} from "../../../src/host/repair/transition.js";

const off: HeldSettings = {
  keepalive: { enabled: false, idleMs: 7_200_000, intervalMs: 75_000, count: 9 },
  userTimeoutMs: 0,
};
const planned: HeldSettings = {
  keepalive: { enabled: true, idleMs: 20_000, intervalMs: 5_000, count: 3 },
  userTimeoutMs: 35_000,
};
const quiet: Moment = {
  state: "ESTABLISHED",
  probes: 0,
  unacked: 0,
  notsentBytes: 0,
  silenceMs: 0,
  windowClosed: false,
};

describe("what could end a connection whose peer is well", () => {
  const cases: readonly [string, Partial<Moment>, HeldSettings, ReturnType<typeof dangerOf>][] = [
    ["a peer that has just been heard", {}, planned, null],
    ["silence that keepalive's timer has not reached", { silenceMs: 18_900 }, planned, null],
    ["silence that it is about to reach", { silenceMs: 19_000 }, planned, "silence"],
    ["an hour of silence", { silenceMs: 3_600_000 }, planned, "silence"],
    [
      "an hour of silence without user timeout",
      { silenceMs: 3_600_000 },
      { ...planned, userTimeoutMs: 0 },
      null,
    ],
    ["an hour of silence, keepalive off", { silenceMs: 3_600_000 }, { ...off, userTimeoutMs: 35_000 }, null],
    ["a probe under way", { probes: 1 }, { ...planned, userTimeoutMs: 0 }, "silence"],
    ["data in flight after an hour", { silenceMs: 3_600_000, unacked: 1 }, planned, null],
    ["data queued after an hour", { silenceMs: 3_600_000, notsentBytes: 1 }, planned, null],
    ["a handshake under way", { state: "SYN_SENT", silenceMs: 3_600_000 }, planned, null],
    ["a listener", { state: "LISTEN", silenceMs: 3_600_000 }, planned, null],
    ["a closed window", { windowClosed: true, unacked: 1 }, planned, "window"],
    ["a closed window, no user timeout", { windowClosed: true }, { ...planned, userTimeoutMs: 0 }, null],
  ];
  for (const [name, moment, to, danger] of cases)
    test(name, () => assert.equal(dangerOf({ ...quiet, ...moment }, off, to), danger));

  test("a closed window under a user timeout that grows", () => {
    const closed = { ...quiet, windowClosed: true };
    assert.equal(dangerOf(closed, { ...off, userTimeoutMs: 10_000 }, planned), null);
    assert.equal(dangerOf(closed, { ...off, userTimeoutMs: 40_000 }, planned), "window");
  });
});

test("in silence nothing can end it meanwhile, while the window is closed only the user timeout waits", () => {
  assert.deepEqual(meanwhile("silence", off, planned), {
    keepalive: { ...planned.keepalive, count: 127 },
    userTimeoutMs: 0,
  });
  assert.deepEqual(meanwhile("window", { ...off, userTimeoutMs: 90_000 }, planned), {
    ...planned,
    userTimeoutMs: 90_000,
  });
});

test("where danger stays, as many probes as were asked for decide", () => {
  assert.deepEqual(withheld("silence", off, planned), { ...planned, userTimeoutMs: 0 });
});

test("a peer is given as long to answer as the new settings give it", () => {
  assert.equal(patienceMs(planned), 15_000);
  assert.equal(patienceMs({ ...planned, userTimeoutMs: 0 }), 15_000);
  assert.equal(patienceMs({ ...planned, userTimeoutMs: 26_000 }), 10_000);
  assert.equal(
    patienceMs({ keepalive: { ...planned.keepalive, intervalMs: 75_000 }, userTimeoutMs: 0 }),
    30_000,
  );
});
