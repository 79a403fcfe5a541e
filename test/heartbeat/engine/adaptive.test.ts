import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { AdaptiveInterval, type LearnedInterval } from "../../../src/heartbeat/engine/adaptive.js";

const bounds = { floorMs: 10_000, ceilingMs: 600_000 };

const odd = (known: LearnedInterval): AdaptiveInterval => new AdaptiveInterval({ ...bounds, known, now: 0 });

/** Lets an interval be tried on a path that forgets after `natMs`, `rounds` times; `unlucky` rounds are lost whatever the silence. */
function learn(
  adaptive: AdaptiveInterval,
  natMs: number,
  rounds: number,
  unlucky: (round: number) => boolean = () => false,
): number {
  let lost = 0;
  for (let round = 0; round < rounds; round++) {
    const silenceMs = adaptive.intervalMs;
    if (silenceMs < natMs && !unlucky(round)) adaptive.survived(silenceMs, round);
    else {
      adaptive.lost(silenceMs, round);
      lost++;
    }
  }
  return lost;
}

describe("learning how long a path may be left silent", () => {
  for (const natMs of [20_000, 45_000])
    test(`settles within 3 s below a NAT of ${natMs / 1_000} s`, () => {
      const adaptive = new AdaptiveInterval({ ...bounds, now: 0 });
      const lost = learn(adaptive, natMs, 30);
      assert.ok(adaptive.settled);
      assert.ok(
        adaptive.intervalMs < natMs && adaptive.intervalMs >= natMs - 3_000,
        String(adaptive.intervalMs),
      );
      assert.ok(lost <= 6, `${lost} connections spent`);
    });

  test("any NAT between floor and ceiling is found, from below, and the ceiling is not passed", () => {
    fc.assert(
      fc.property(fc.integer({ min: 10_001, max: 900_000 }), (natMs) => {
        const adaptive = new AdaptiveInterval({ ...bounds, now: 0 });
        learn(adaptive, natMs, 60);
        assert.ok(adaptive.settled);
        assert.ok(adaptive.intervalMs < natMs && adaptive.intervalMs <= 600_000);
        assert.ok(adaptive.intervalMs >= Math.min(natMs - 2_500, 600_000));
      }),
    );
  });

  test("beats that are a little late each time do not creep up to the NAT", () => {
    const adaptive = new AdaptiveInterval({ ...bounds, now: 0 });
    learn(adaptive, 45_000, 30);
    const settledMs = adaptive.intervalMs;
    for (let n = 0; n < 1_000; n++) adaptive.survived(adaptive.intervalMs + 15, 100);
    assert.equal(adaptive.intervalMs, settledMs);
  });

  test("single losses for another reason change nothing", () => {
    const adaptive = new AdaptiveInterval({ ...bounds, now: 0 });
    learn(adaptive, 45_000, 60, (round) => round % 5 === 2);
    assert.ok(adaptive.intervalMs < 45_000 && adaptive.intervalMs >= 42_000, String(adaptive.intervalMs));
  });

  test("nor do losses after a shorter silence than others have survived", () => {
    const adaptive = new AdaptiveInterval({ ...bounds, now: 0 });
    learn(adaptive, 45_000, 30);
    const { learned } = adaptive;
    for (let n = 0; n < 10; n++) adaptive.lost(5_000, 100);
    assert.deepEqual(adaptive.learned, learned);
  });

  test("a path that has become more forgetful is learned anew from the floor; one that has become patient, when it shows", () => {
    const adaptive = new AdaptiveInterval({ ...bounds, now: 0 });
    learn(adaptive, 300_000, 30);
    learn(adaptive, 30_000, 30);
    assert.ok(adaptive.intervalMs < 30_000 && adaptive.intervalMs >= 27_000, String(adaptive.intervalMs));
    adaptive.survived(100_000, 0);
    assert.equal(adaptive.learned.badMs, null);
    learn(adaptive, 300_000, 30);
    assert.ok(adaptive.intervalMs >= 297_000, String(adaptive.intervalMs));
  });

  test("begins where it left off, unless that is long ago", () => {
    const first = new AdaptiveInterval({ ...bounds, now: 0 });
    learn(first, 45_000, 30);
    const known: LearnedInterval = first.learned;
    assert.equal(new AdaptiveInterval({ ...bounds, known, now: 1_000 }).intervalMs, known.goodMs);
    assert.ok(new AdaptiveInterval({ ...bounds, known, now: 1_000 }).settled);
    const later = new AdaptiveInterval({ ...bounds, known, now: 8 * 86_400_000 });
    assert.deepEqual([later.intervalMs, later.settled], [10_000, false]);
    first.survived(first.intervalMs, 30 * 86_400_000);
    assert.equal(first.learned.badMs, null, "forgets while it runs, too");
  });

  test("what was kept outside today's bounds, or makes no sense, is brought within", () => {
    assert.equal(odd({ goodMs: 1, badMs: null, at: 0 }).intervalMs, 10_000);
    assert.equal(odd({ goodMs: 1e9, badMs: 2e9, at: 0 }).intervalMs, 600_000);
    assert.equal(odd({ goodMs: 50_000, badMs: 40_000, at: 0 }).learned.badMs, null);
  });
});
