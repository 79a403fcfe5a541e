import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { deadPeerMs, detectionTimes, retransmissionTimeoutMs, worstMs } from "../../src/plan/model.js";
import { linuxDefaults, type Settings } from "../../src/plan/settings.js";

const settings = (idle: number, interval: number, count: number, userTimeoutMs = 0): Settings => ({
  keepalive: { idleMs: idle * 1_000, intervalMs: interval * 1_000, count },
  userTimeoutMs,
});
const bare: Settings = { keepalive: null, userTimeoutMs: 0 };

describe("idle", () => {
  test("without a user timeout: idle + interval x count", () => {
    assert.equal(detectionTimes(settings(7_200, 75, 9)).idleMs, 7_875_000);
    assert.equal(detectionTimes(settings(1, 1, 3)).idleMs, 4_000);
    assert.equal(detectionTimes(settings(5, 3, 3)).idleMs, 14_000);
  });

  // Measured in network namespaces on Linux 6.18, rounded down to the model's grain.
  const measured: readonly [idle: number, interval: number, userTimeoutMs: number, seconds: number][] = [
    [1, 3, 500, 4],
    [1, 1, 3_000, 3],
    [1, 1, 4_000, 4],
    [1, 1, 4_100, 5],
    [1, 1, 7_500, 8],
    [1, 11, 5_000, 12],
    [1, 11, 12_500, 23],
    [1, 11, 30_000, 34],
    [1, 11, 60_000, 67],
  ];
  for (const [idle, interval, userTimeoutMs, seconds] of measured) {
    test(`${idle}/${interval}/3 under a user timeout of ${userTimeoutMs} ms dies after ${seconds} s`, () => {
      assert.equal(detectionTimes(settings(idle, interval, 3, userTimeoutMs)).idleMs, seconds * 1_000);
    });
  }

  test("under a user timeout the count does not matter", () => {
    const times = [1, 3, 127].map((count) => detectionTimes(settings(10, 5, count, 30_000)).idleMs);
    assert.deepEqual(times, [30_000, 30_000, 30_000]);
  });

  test("a user timeout of exactly idle + interval x count changes nothing; a millisecond more costs an interval", () => {
    assert.equal(detectionTimes(settings(20, 5, 3, 35_000)).idleMs, 35_000);
    assert.equal(detectionTimes(settings(20, 5, 3, 35_001)).idleMs, 40_000);
  });

  test("without keepalive never, user timeout or not", () => {
    assert.equal(detectionTimes(bare).idleMs, null);
    assert.equal(detectionTimes({ keepalive: null, userTimeoutMs: 5_000 }).idleMs, null);
  });
});

describe("sending", () => {
  test("tcp_retries2 = 15 means 924.6 s, as ip-sysctl.rst says", () => {
    assert.equal(detectionTimes(bare).sendingMs, 924_600);
  });

  test("tcp_retries2 = 8 means the 100 s of RFC 1122 and a little", () => {
    assert.equal(detectionTimes(bare, { ...linuxDefaults, retries2: 8 }).sendingMs, 102_200);
  });

  test("a shorter longest timeout shortens it", () => {
    // 0.2 + 0.4 + 0.8 s, and 13 times 1 s.
    assert.equal(detectionTimes({ ...bare, rtoMaxMs: 1_000 }).sendingMs, 14_400);
    assert.equal(retransmissionTimeoutMs(3, 2_000, 1_000), 4_000);
  });

  test("the user timeout replaces tcp_retries2", () => {
    const system = { ...linuxDefaults, retries2: 3 };
    assert.equal(detectionTimes({ keepalive: null, userTimeoutMs: 60_000 }, system).sendingMs, 60_000);
  });
});

describe("zero window", () => {
  test("answered: for ever, or the user timeout", () => {
    assert.equal(detectionTimes(bare).zeroWindowMs, null);
    assert.equal(detectionTimes(settings(1, 1, 1, 9_000)).zeroWindowMs, 9_000);
  });

  test("unanswered: tcp_retries2 probes or the user timeout, whichever comes first", () => {
    const system = { ...linuxDefaults, retries2: 3 };
    assert.equal(detectionTimes(bare).zeroWindowSilentMs, 924_600);
    assert.equal(detectionTimes(bare, system).zeroWindowSilentMs, 3_000);
    assert.equal(detectionTimes({ ...bare, userTimeoutMs: 60_000 }, system).zeroWindowSilentMs, 3_000);
    assert.equal(detectionTimes({ ...bare, userTimeoutMs: 2_000 }, system).zeroWindowSilentMs, 2_000);
  });
});

function connecting(userTimeoutMs: number, system = linuxDefaults): number | null {
  return detectionTimes({ keepalive: null, userTimeoutMs }, system).connectingMs;
}

describe("connecting", () => {
  test("131 s as Linux comes, 127 s before linear timeouts (6.5)", () => {
    assert.equal(connecting(0), 131_000);
    assert.equal(connecting(0, { ...linuxDefaults, synLinearTimeouts: 0 }), 127_000);
  });

  // Measured on 6.18: 1.01, 1.53 and 5.02 s.
  test("the user timeout, but never before the first retransmission", () => {
    assert.equal(connecting(300), 1_000);
    assert.equal(connecting(1_500), 1_500);
    assert.equal(connecting(5_000), 5_000);
    assert.equal(connecting(600_000), 131_000);
  });

  test("many linear timeouts run into the time for tcp_syn_retries", () => {
    assert.equal(connecting(0, { ...linuxDefaults, synRetries: 1, synLinearTimeouts: 20 }), 3_000);
  });
});

test("deadPeerMs is about dead peers, worstMs about slow readers as well", () => {
  const times = detectionTimes(settings(20, 5, 3));
  assert.equal(deadPeerMs(times), 924_600);
  assert.equal(worstMs(times), null);
  assert.equal(deadPeerMs(detectionTimes(bare)), null);
});
