import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { type BeatSettings, HeartbeatEngine, spread } from "../../../src/heartbeat/engine/engine.js";
import { patientWith } from "../../../src/heartbeat/engine/settings.js";

const settings: BeatSettings = {
  idleMs: 20_000,
  intervalMs: 5_000,
  count: 3,
  sendEveryMs: null,
  answers: true,
};

/** What an engine does when nothing but time happens, until `untilMs`: "20000 beat" and so on. */
function run(
  engine: HeartbeatEngine,
  fromMs: number,
  untilMs: number,
  onBeat?: (nowMs: number) => void,
): string[] {
  const seen: string[] = [];
  for (let nowMs = fromMs; nowMs <= untilMs; nowMs = Math.max(nowMs, engine.nextMs()))
    for (let action = engine.check(nowMs); ; action = engine.check(nowMs)) {
      if (action === null) break;
      seen.push(`${nowMs} ${action}`);
      if (action === "beat") onBeat?.(nowMs);
    }
  return seen;
}

describe("a heartbeat engine", () => {
  test("asks a silent peer, suspects it after the first miss, and gives it up as TCP keepalive would", () => {
    const engine = new HeartbeatEngine(settings, { nowMs: 0, phase: 0 });
    assert.deepEqual(run(engine, 0, 100_000), [
      "20000 beat",
      "25000 suspect",
      "25000 beat",
      "30000 beat",
      "35000 dead",
    ]);
    assert.equal(engine.unanswered, 3);
    assert.equal(engine.heardMs, 0);
    assert.equal(engine.heard(36_000), false);
    assert.equal(engine.state, "dead", "for good");
  });

  test("says how long somebody else may listen in its place", () => {
    for (const phase of [0, 0.5, 1]) {
      const engine = new HeartbeatEngine(settings, { nowMs: 0, phase });
      // The first beat comes at any time of its wait, later ones within a quarter of it.
      for (const expected of [20_000 * (1 - phase), 20_000 * (1 - phase * spread)]) {
        const patienceMs = engine.patienceMs();
        assert.equal(patienceMs, expected);
        const fromMs = engine.heardMs;
        assert.equal(engine.nextMs() - fromMs >= expected, true);
        const nowMs = Math.max(engine.nextMs(), fromMs + 5_000);
        assert.equal(engine.check(nowMs), "beat");
        if (engine.state === "asked") assert.equal(engine.patienceMs(), null, "it has asked already");
        engine.heard(nowMs);
      }
    }
    const promised = new HeartbeatEngine({ ...settings, sendEveryMs: 10_000 }, { nowMs: 0, phase: 0 });
    assert.equal(promised.patienceMs(), null, "this side has to send by itself");
  });

  test("does not beat while the peer is heard, however much this side sends", () => {
    const engine = new HeartbeatEngine(settings, { nowMs: 0, phase: 0 });
    for (let nowMs = 0; nowMs < 3_600_000; nowMs += 19_000) {
      assert.deepEqual(run(engine, nowMs, nowMs), []);
      engine.heard(nowMs);
    }
  });

  test("sending proves nothing: a peer that only takes is asked all the same", () => {
    const engine = new HeartbeatEngine({ ...settings, sendEveryMs: 20_000 }, { nowMs: 0, phase: 0 });
    const seen: string[] = [];
    for (let nowMs = 0; nowMs <= 40_000; nowMs += 1_000) {
      engine.sent(nowMs);
      seen.push(...run(engine, nowMs, nowMs));
    }
    assert.deepEqual(seen.slice(0, 2), ["20000 beat", "25000 suspect"]);
    assert.equal(engine.state, "dead");
  });

  test("keeps its promise to be heard, also while the peer talks", () => {
    const engine = new HeartbeatEngine({ ...settings, sendEveryMs: 10_000 }, { nowMs: 0, phase: 0 });
    const beats: number[] = [];
    for (let nowMs = 0; nowMs <= 60_000; nowMs += 500) {
      engine.heard(nowMs);
      run(engine, nowMs, nowMs, (at) => beats.push(at));
    }
    assert.deepEqual(beats, [10_000, 20_000, 30_000, 40_000, 50_000, 60_000]);
  });

  test("a peer that has promised to be heard is not asked before, whatever the phase", () => {
    for (const phase of [0, 0.5, 1]) {
      const promised = patientWith(settings, 60_000);
      const engine = new HeartbeatEngine(promised, { nowMs: 0, phase });
      // The first beat of all comes at any time of its wait.
      run(engine, 0, 65_000, (nowMs) => engine.heard(nowMs));
      const { heardMs } = engine;
      const [first = ""] = run(engine, heardMs, heardMs + 65_000);
      assert.ok(Number.parseFloat(first) >= heardMs + 60_000, `${first} after ${heardMs}`);
      assert.ok(Number.parseFloat(first) <= heardMs + 65_000, `${first} after ${heardMs}`);
    }
  });

  test("any answer ends the suspicion", () => {
    const engine = new HeartbeatEngine(settings, { nowMs: 0, phase: 0 });
    run(engine, 0, 26_000);
    assert.equal(engine.state, "suspected");
    assert.equal(engine.heard(26_000), true);
    assert.equal(engine.heard(26_001), false);
    assert.deepEqual(run(engine, 26_001, 47_000), ["46001 beat"]);
  });

  test("where nothing is answered, only time decides", () => {
    const engine = new HeartbeatEngine(
      { ...settings, answers: false, sendEveryMs: 10_000 },
      { nowMs: 0, phase: 0 },
    );
    assert.deepEqual(run(engine, 0, 100_000), [
      "10000 beat",
      "20000 suspect",
      "20000 beat",
      "30000 beat",
      "35000 dead",
    ]);
  });

  test("after a standstill the peer is asked anew and has the whole time to answer", () => {
    for (const phase of [0, 0.5, 1])
      for (const stoppedMs of [10_000, 22_000, 28_000, 34_999]) {
        const engine = new HeartbeatEngine(settings, { nowMs: 0, phase });
        run(engine, 0, stoppedMs);
        const wokeMs = stoppedMs + 600_000;
        engine.stoodStill(wokeMs);
        const seen = run(engine, wokeMs, wokeMs + 100_000);
        const deadMs = Number(seen.at(-1)?.split(" ")[0]);
        const round = settings.intervalMs * settings.count;
        if (engine.state === "dead" && stoppedMs < deadMs) {
          assert.ok(deadMs >= wokeMs + round, `stopped at ${stoppedMs}, phase ${phase}: ${seen.join(", ")}`);
          assert.ok(deadMs <= wokeMs + round + settings.intervalMs);
        }
      }
  });

  test("ten thousand that began at once do not beat at once", () => {
    const perSecond = new Map<number, number>();
    for (let n = 0; n < 10_000; n++) {
      const engine = new HeartbeatEngine(settings, { nowMs: 0, phase: n / 10_000 });
      let last = 0;
      for (let nowMs = 0; nowMs < 120_000; nowMs = Math.max(nowMs + 1, engine.nextMs()))
        for (let action = engine.check(nowMs); action !== null; action = engine.check(nowMs)) {
          assert.equal(action, "beat");
          const second = Math.floor(nowMs / 1_000);
          perSecond.set(second, (perSecond.get(second) ?? 0) + 1);
          last = nowMs;
          engine.heard(last);
        }
    }
    // Evenly, 10 000 beats each 20 s or a little less are 500 to 670 a second.
    assert.ok(Math.max(...perSecond.values()) < 1_200, String(Math.max(...perSecond.values())));
  });

  test("nor do those that wake up at once", () => {
    const wokeMs = 600_000;
    const beats: number[] = [];
    for (let n = 0; n < 1_000; n++) {
      const engine = new HeartbeatEngine(settings, { nowMs: 0, phase: n / 1_000 });
      engine.stoodStill(wokeMs);
      run(engine, wokeMs, wokeMs + 4_999, (nowMs) => beats.push(nowMs));
    }
    assert.equal(beats.length, 1_000);
    assert.equal(beats.filter((ms) => ms < wokeMs + 2_500).length, 500);
  });

  test("whatever happens: beats keep their distance, nobody heard of late is dead, nobody silent lives on", () => {
    const step = fc.record({
      afterMs: fc.oneof(fc.integer({ min: 0, max: 3_000 }), fc.integer({ min: 0, max: 60_000 })),
      what: fc.constantFrom("nothing", "heard", "answered", "sent", "woke"),
    });
    const anySettings = fc
      .record({
        intervalMs: fc.integer({ min: 100, max: 10_000 }),
        moreIdleMs: fc.integer({ min: 0, max: 60_000 }),
        count: fc.integer({ min: 1, max: 6 }),
        moreSendMs: fc.option(fc.integer({ min: 0, max: 60_000 }), { nil: null }),
        answers: fc.boolean(),
        peerSendsEveryMs: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 90_000 })),
      })
      .map(({ intervalMs, moreIdleMs, count, moreSendMs, answers, peerSendsEveryMs }) =>
        patientWith(
          {
            intervalMs,
            idleMs: intervalMs + moreIdleMs,
            count,
            sendEveryMs: moreSendMs === null ? null : intervalMs + moreSendMs,
            answers,
          },
          peerSendsEveryMs,
        ),
      );
    fc.assert(
      fc.property(
        anySettings,
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.array(step, { minLength: 1, maxLength: 60 }),
        (chosen, phase, steps) => {
          const engine = new HeartbeatEngine(chosen, { nowMs: 0, phase });
          const round = chosen.intervalMs * chosen.count;
          const deadlineMs = chosen.idleMs + round;
          const askedMs = Math.max(chosen.idleMs * (1 - spread), chosen.peerSendsEveryMs ?? 0);
          const earliestMs = chosen.answers ? askedMs + round : deadlineMs;
          let heardMs = 0;
          let wokeMs = Number.NEGATIVE_INFINITY;
          let beatMs = Number.NEGATIVE_INFINITY;
          let nowMs = 0;
          const look = (): void => {
            for (let action = engine.check(nowMs); action !== null; action = engine.check(nowMs)) {
              if (action === "beat") {
                assert.ok(nowMs - beatMs >= chosen.intervalMs - 1e-6, "beats keep their distance");
                beatMs = nowMs;
              }
              if (action === "dead") {
                assert.ok(nowMs - heardMs >= earliestMs - 1e-6, "heard of late, and yet dead");
                assert.ok(nowMs - wokeMs >= round - 1e-6, "dead before one full round after waking");
              }
            }
            if (engine.state !== "dead") {
              const patienceMs = Math.max(heardMs + deadlineMs, wokeMs + deadlineMs + chosen.intervalMs);
              assert.ok(nowMs <= patienceMs + 1e-6, "silent for longer than the deadline, and yet alive");
            }
          };
          for (const { afterMs, what } of steps) {
            // An answer follows a beat at once, whatever else comes when it likes.
            const untilMs = what === "answered" ? engine.nextMs() + (afterMs % 20) : nowMs + afterMs;
            for (let rounds = 0; engine.nextMs() <= untilMs; rounds++) {
              assert.ok(rounds < 10_000, "comes to rest");
              nowMs = Math.max(nowMs, engine.nextMs());
              look();
            }
            nowMs = untilMs;
            if (engine.state === "dead") return;
            if (what === "heard" || what === "answered") {
              engine.heard(nowMs);
              heardMs = nowMs;
            } else if (what === "sent") engine.sent(nowMs);
            else if (what === "woke") {
              engine.stoodStill(nowMs);
              wokeMs = nowMs;
            }
            look();
          }
        },
      ),
      { numRuns: 3_000 },
    );
  });
});
