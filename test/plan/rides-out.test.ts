import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { ridesOut } from "../../src/plan/rides-out.js";
import { linuxDefaults, type Settings } from "../../src/plan/settings.js";
import { idleDeathMs, sendingDeathMs } from "./simulation.js";

const seconds = (max: number): fc.Arbitrary<number> => fc.integer({ min: 1, max }).map((s) => s * 1_000);
const keepalive = fc.record({
  idleMs: seconds(300),
  intervalMs: seconds(60),
  count: fc.integer({ min: 1, max: 12 }),
});
/** Timers up to 8/63 late, in a sequence that is the same in every run of one example. */
const lateness = fc
  .array(fc.double({ min: 0, max: 8 / 63, noNaN: true }), { minLength: 1, maxLength: 9 })
  .map((shares) => () => {
    let turn = 0;
    return (): number => shares[turn++ % shares.length] ?? 0;
  });

describe("idle", () => {
  test("the time between first and last probe", () => {
    const settings = { keepalive: { idleMs: 20_000, intervalMs: 5_000, count: 3 }, userTimeoutMs: 0 };
    assert.equal(ridesOut(settings).idle, 10_000);
    assert.equal(ridesOut({ ...settings, keepalive: { ...settings.keepalive, count: 1 } }).idle, 0);
  });

  test("without keepalive any outage: nothing notices it", () => {
    assert.equal(ridesOut({ keepalive: null, userTimeoutMs: 1_000 }).idle, null);
  });

  test("such an outage is survived whenever it begins, however late timers are", () => {
    fc.assert(
      fc.property(
        keepalive,
        fc.integer({ min: 0, max: 600_000 }),
        fc.integer({ min: 0, max: 400_000 }),
        lateness,
        (keepalive, userTimeoutMs, fromMs, late) => {
          const outageMs = ridesOut({ keepalive, userTimeoutMs }).idle ?? 0;
          const outage = { fromMs, toMs: fromMs + outageMs };
          assert.equal(idleDeathMs(keepalive, userTimeoutMs, outage, late()), null);
        },
      ),
      { numRuns: 5_000 },
    );
  });

  test("with punctual timers and no user timeout it is the longest such outage", () => {
    fc.assert(
      fc.property(keepalive, (keepalive) => {
        const outageMs = (ridesOut({ keepalive, userTimeoutMs: 0 }).idle ?? 0) + 1;
        const fromMs = keepalive.idleMs;
        const death = idleDeathMs(keepalive, 0, { fromMs, toMs: fromMs + outageMs }, () => 0);
        assert.equal(death, keepalive.idleMs + keepalive.intervalMs * keepalive.count);
      }),
    );
  });
});

/** What the model leaves out: a sixteenth of the first retransmission timeout, and parts of a millisecond. */
function allowanceMs(rtoMs: number): number {
  return rtoMs / 16 + 1;
}

describe("sending", () => {
  const sender = fc.record({
    rtoMs: fc.integer({ min: 200, max: 3_000 }),
    rtoMaxMs: fc.constant(120_000),
    limitMs: fc.constant(924_600),
    tailLossProbe: fc.boolean(),
  });
  test("such an outage is survived at every round-trip time, however late timers are", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 3_600_000 }), sender, lateness, (userTimeoutMs, sender, late) => {
        const settings: Settings = { keepalive: null, userTimeoutMs };
        const outageMs = ridesOut(settings, linuxDefaults).sending - allowanceMs(sender.rtoMs);
        assert.equal(sendingDeathMs(settings, sender, outageMs, late()), null);
      }),
      { numRuns: 5_000 },
    );
  });

  test("there is a round-trip time that needs nearly all of it", () => {
    // With RTO 200 ms retransmissions follow the first after 25.2 s and 50.8 s: just too late for 50.7 s.
    const settings = { keepalive: null, userTimeoutMs: 50_700 };
    const sender = { rtoMs: 200, rtoMaxMs: 120_000, limitMs: 924_600, tailLossProbe: false };
    const outageMs = ridesOut(settings).sending;
    assert.ok(outageMs > 0.46 * 50_700 && outageMs < 25_400, `${outageMs}`);
    assert.notEqual(
      sendingDeathMs(settings, sender, 25_401, () => 0),
      null,
    );
  });
});
