import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { Phi } from "../../../src/heartbeat/engine/phi.js";
import { RoundTrip } from "../../../src/heartbeat/engine/round-trip.js";

/** A peer heard every `everyMs`, give or take, for a while; the time of the last. */
function heardRegularly(phi: Phi, everyMs: number, untidyMs = 0): number {
  let nowMs = 0;
  for (let n = 0; n < 200; n++) {
    nowMs += everyMs + ((n % 3) - 1) * untidyMs;
    phi.heard(nowMs);
  }
  return nowMs;
}

describe("round trips", () => {
  test("are smoothed as RFC 6298 and RFC 3550 do", () => {
    const roundTrip = new RoundTrip();
    assert.equal(roundTrip.figures(), null);
    roundTrip.add(800);
    assert.deepEqual(roundTrip.figures(), {
      samples: 1,
      lastUs: 800,
      minUs: 800,
      smoothedUs: 800,
      jitterUs: 0,
    });
    roundTrip.add(1_600);
    assert.deepEqual(roundTrip.figures(), {
      samples: 2,
      lastUs: 1_600,
      minUs: 800,
      smoothedUs: 900,
      jitterUs: 50,
    });
    roundTrip.add(Number.NaN);
    roundTrip.add(-1);
    assert.equal(roundTrip.figures()?.samples, 2);
  });
});

describe("phi", () => {
  test("a silence as usual is no reason to worry, one of twice the length is", () => {
    const phi = new Phi({ firstMs: 5_000 });
    assert.equal(phi.level(1e9), 0, "nothing was ever heard");
    const lastMs = heardRegularly(phi, 1_000);
    assert.ok(phi.level(lastMs + 1_000) < 1);
    assert.ok(phi.level(lastMs + 2_000) > 8);
  });

  test("a level of 1 is wrong one time in ten, as far as the approximation goes", () => {
    const phi = new Phi({ firstMs: 1_000 });
    const lastMs = heardRegularly(phi, 1_000, 200);
    // 1.2816 standard deviations leave a tenth of a normal distribution above them.
    const deviation = 200 * Math.sqrt(2 / 3);
    const level = phi.level(lastMs + 1_000 + 1.2816 * deviation);
    assert.ok(Math.abs(level - 1) < 0.05, String(level));
  });

  test("an untidy peer gets more patience, and a pause that is granted counts", () => {
    const tidy = new Phi({ firstMs: 1_000 });
    const untidy = new Phi({ firstMs: 1_000 });
    const pausing = new Phi({ firstMs: 1_000, pauseMs: 3_000 });
    const lastMs = heardRegularly(tidy, 1_000);
    heardRegularly(untidy, 1_000, 500);
    heardRegularly(pausing, 1_000);
    assert.ok(untidy.level(lastMs + 2_500) < tidy.level(lastMs + 2_500));
    assert.ok(pausing.level(lastMs + 3_500) < 1);
  });

  test("our own standstill is not the peer's silence", () => {
    const phi = new Phi({ firstMs: 1_000 });
    const lastMs = heardRegularly(phi, 1_000);
    phi.stoodStill(lastMs + 60_000);
    assert.ok(phi.level(lastMs + 60_500) < 1);
  });

  test("is a number that only grows, however long it lasts", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 1e6 }), { minLength: 1 }), (waits) => {
        const phi = new Phi({ firstMs: 1_000 });
        let nowMs = 0;
        for (const wait of waits) phi.heard((nowMs += wait));
        let before = 0;
        for (let silenceMs = 1; silenceMs < 1e12; silenceMs *= 3) {
          const level = phi.level(nowMs + silenceMs);
          assert.ok(Number.isFinite(level) && level >= before, `${level} after ${before}`);
          before = level;
        }
      }),
    );
  });
});
