import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import type { HeartbeatAdapter, OutgoingBeat, Peer } from "../../src/heartbeat/adapter.js";
import type { LearnedInterval } from "../../src/heartbeat/engine/adaptive.js";
import { type Heartbeat, heartbeat, type HeartbeatOptions } from "../../src/heartbeat/heartbeat.js";
import { IntervalFile, type IntervalStore } from "../../src/heartbeat/interval-file.js";
import { IntervalLearner } from "../../src/heartbeat/learner.js";
import { thrownDuring } from "../support/thrown.js";
import { VirtualClock } from "../../src/time/virtual-clock.js";

const wanted = { idle: 20_000, interval: 5_000, count: 3 };

interface Watched {
  readonly beats: Heartbeat;
  readonly peer: Peer;
  /** What happened, with the second at which it did. */
  readonly seen: string[];
  readonly sent: OutgoingBeat[];
}

function watch(
  clock: VirtualClock,
  more: HeartbeatOptions = {},
  adapter: Partial<HeartbeatAdapter> = {},
): Watched {
  const seen: string[] = [];
  const sent: OutgoingBeat[] = [];
  let peer: Peer | null = null;
  const note = (what: string): number => seen.push(`${clock.monotonic() / 1_000} ${what}`);
  const beats = heartbeat(
    {
      listen: (told) => {
        peer = told;
        return () => note("detached");
      },
      beat: (beat) => sent.push(beat),
      close: ({ state }) => note(`closed ${state}`),
      ...adapter,
    },
    wanted,
    { clock, phase: 0, ...more },
  );
  beats.on("beat", (number) => note(`beat ${number}`));
  beats.on("answer", (rttUs) => note(`answer ${rttUs}`));
  beats.on("payload", (bytes) => note(`payload ${Buffer.from(bytes).toString()}`));
  for (const name of ["suspect", "recovered", "end"] as const) beats.on(name, () => note(name));
  beats.on("doubt", () => note("doubt"));
  beats.on("verdict", ({ state, selfPausedMs }) => note(`${state} ${selfPausedMs}`));
  assert.ok(peer !== null);
  return { beats, peer, seen, sent };
}

const fail = (what: string) => (): never => {
  throw new Error(what);
};

describe("a heartbeat over an adapter", () => {
  test("asks, suspects, gives up, lets go, and leaves no timer behind", () => {
    const clock = new VirtualClock();
    const { beats, seen } = watch(clock);
    clock.advanceSync(100_000);
    assert.deepEqual(seen, [
      "20 beat 1",
      "25 suspect",
      "25 beat 2",
      "30 beat 3",
      "35 detached",
      "35 closed unresponsive",
      "35 unresponsive null",
      "35 end",
    ]);
    assert.equal(beats.active, false);
    assert.equal(beats.verdict?.timer, "heartbeat");
    assert.equal(clock.pending, 0);
  });

  test("it goes on whatever listeners and the adapter throw", async () => {
    const clock = new VirtualClock();
    const store: IntervalStore = { load: () => null, save: fail("save") };
    const learner = new IntervalLearner({ floor: "20s", ceiling: "1m", network: "n", store }, clock);
    const { beats, peer, seen } = watch(
      clock,
      { learner },
      { progressed: fail("progressed"), close: fail("close") },
    );
    const thrown = await thrownDuring(async () => {
      for (const name of ["beat", "answer", "suspect", "recovered", "verdict", "end"] as const)
        beats.on(name, fail(name));
      clock.advanceSync(20_000);
      peer.answered(1);
      clock.advanceSync(40_000);
      peer.heard();
      clock.advanceSync(200_000);
      await new Promise(setImmediate);
    });
    assert.ok(
      seen.some((what) => what.endsWith("unresponsive null")),
      seen.join(),
    );
    assert.ok(seen.at(-1)?.endsWith("end"));
    assert.equal(clock.pending, 0);
    const everything = [
      "answer",
      "beat",
      "close",
      "end",
      "progressed",
      "recovered",
      "save",
      "suspect",
      "verdict",
    ];
    assert.deepEqual([...new Set(thrown)].sort(), everything);
  });

  test("round trips are measured by the answer's number, and the first answer after a miss ends the suspicion", () => {
    const clock = new VirtualClock();
    const { beats, peer, seen } = watch(clock);
    clock.advanceSync(20_080);
    peer.answered(1, Buffer.from("load 0.3"));
    clock.advanceSync(25_020);
    assert.equal(beats.state, "suspected");
    peer.answered(3);
    assert.deepEqual(seen, [
      "20 beat 1",
      "20.08 answer 80000",
      "20.08 payload load 0.3",
      "40.08 beat 2",
      "45.08 suspect",
      "45.08 beat 3",
      "45.1 recovered",
      "45.1 answer 20000",
    ]);
    assert.equal(beats.roundTrip?.samples, 2);
    assert.equal(beats.roundTrip?.lastUs, 20_000);
    beats.close();
    beats.close();
    assert.equal(clock.pending, 0);
  });

  test("where answers have no number, the time is known only if one beat alone was on its way", () => {
    const clock = new VirtualClock();
    const { peer, seen } = watch(clock);
    clock.advanceSync(20_030);
    peer.answered();
    clock.advanceSync(25_000);
    peer.answered();
    assert.deepEqual(
      seen.filter((line) => line.includes("answer")),
      ["20.03 answer 30000", "45.03 answer null"],
    );
  });

  test("what the application says goes with beats and answers", () => {
    const clock = new VirtualClock();
    let load = 0;
    const { peer, sent } = watch(clock, { payload: () => `load ${++load}` });
    assert.equal(Buffer.from(peer.beaten()).toString(), "load 1");
    clock.advanceSync(20_000);
    assert.equal(Buffer.from(sent[0]?.payload ?? []).toString(), "load 2");
  });

  test("the patience follows what the peer announces", () => {
    const clock = new VirtualClock();
    const { beats, peer, seen } = watch(clock);
    peer.beaten(undefined, 60_000);
    assert.equal(beats.settings.idleMs, 65_000);
    clock.advanceSync(64_990);
    assert.deepEqual(seen, []);
    peer.beaten(undefined, 10_000);
    assert.equal(beats.settings.idleMs, 20_000);
  });

  test("stopped with a question out: the peer is asked anew, and the verdict names the pause", () => {
    const clock = new VirtualClock();
    const { seen } = watch(clock);
    clock.advanceSync(29_000);
    clock.pause(600_000);
    clock.advanceSync(14_000);
    assert.ok(!seen.some((line) => line.includes("closed")), seen.join(", "));
    clock.advanceSync(10_000);
    assert.ok(
      seen.some((line) => /unresponsive 59\d{4}/.test(line)),
      seen.join(", "),
    );
  });

  test("a machine that slept blames nobody either", () => {
    const clock = new VirtualClock();
    const { beats, seen } = watch(clock);
    clock.advanceSync(34_000);
    clock.suspend(3_600_000);
    clock.advanceSync(10_000);
    assert.equal(beats.active, true, seen.join(", "));
    clock.advanceSync(20_000);
    assert.equal(beats.verdict?.selfPausedMs, 3_600_000);
  });

  test("clocks that people set, forwards or back, end nothing", () => {
    const clock = new VirtualClock(1_700_000_000_000);
    const { beats, peer } = watch(clock);
    for (const wallMs of [0, 4_000_000_000_000, 1_700_000_000_000]) {
      clock.setWall(wallMs);
      clock.advanceSync(20_000);
      peer.answered();
    }
    assert.equal(beats.state, "alive");
  });

  test("a slow peer that takes what waits for it is not dead, one that takes nothing is", () => {
    const clock = new VirtualClock();
    let takes = true;
    const { beats } = watch(clock, {}, { progressed: () => takes });
    clock.advanceSync(600_000);
    assert.equal(beats.active, true);
    takes = false;
    clock.advanceSync(60_000);
    assert.equal(beats.active, false);
  });

  test("doubts early, where the peer has been regular", () => {
    const clock = new VirtualClock();
    const { peer, seen } = watch(clock, { phiLevel: 8 });
    for (let second = 0; second < 200; second++) {
      clock.advanceSync(1_000);
      peer.heard();
    }
    assert.equal(seen.length, 0);
    clock.advanceSync(10_000);
    assert.equal(seen.length, 1, seen.join());
    const at = Number(seen[0]?.split(" ")[0]);
    assert.ok(at > 201 && at < 203, String(at));
    peer.heard();
    assert.match(seen[1] ?? "", /recovered/);
  });

  test("a connection that ended by itself, and a signal, end it", () => {
    const clock = new VirtualClock();
    const first = watch(clock);
    first.peer.ended();
    assert.deepEqual(first.seen, ["0 detached", "0 end"]);
    const controller = new AbortController();
    const second = watch(clock, { signal: controller.signal });
    controller.abort();
    assert.equal(second.beats.active, false);
    assert.equal(clock.pending, 0);
    assert.throws(() => watch(clock, { signal: controller.signal }), { code: "aborted" });
  });

  test("a beat that cannot be sent is one without an answer", () => {
    const clock = new VirtualClock();
    const { beats } = watch(
      clock,
      {},
      {
        beat: () => {
          throw new Error("closed");
        },
      },
    );
    clock.advanceSync(40_000);
    assert.equal(beats.verdict?.state, "unresponsive");
  });
});

/** A path that forgets a connection after a silence; what is sent over a forgotten one is lost. */
async function live(
  natMs: number,
  unlucky: (beat: number) => boolean,
  hours: number,
): Promise<{ learner: IntervalLearner; lost: number }> {
  const clock = new VirtualClock();
  const store: IntervalStore = { load: () => null, save: () => {} };
  const learner = new IntervalLearner({ floor: "10s", ceiling: "10m", network: "n", store }, clock);
  let lost = 0;
  let beat = 0;
  const untilMs = hours * 3_600_000;
  while (clock.monotonic() < untilMs) {
    let lastMs = clock.monotonic();
    let forgotten = false;
    const { beats, peer } = watch(
      clock,
      { learner },
      {
        beat: ({ number }) => {
          forgotten ||= clock.monotonic() - lastMs >= natMs;
          lastMs = clock.monotonic();
          if (!forgotten && !unlucky(beat++)) clock.set(() => peer.answered(number), 40);
        },
      },
    );
    await clock.advance(0);
    while (beats.active && clock.monotonic() < untilMs) await clock.advance(1_000);
    if (!beats.active) lost++;
    beats.close();
  }
  return { learner, lost };
}

describe("an interval that is learned", () => {
  for (const natMs of [20_000, 45_000])
    test(`finds a NAT of ${natMs / 1_000} s and settles within 3 s below it`, async () => {
      const { learner, lost } = await live(natMs, () => false, 1);
      assert.ok(learner.settled);
      assert.ok(
        learner.intervalMs < natMs && learner.intervalMs >= natMs - 3_000,
        String(learner.intervalMs),
      );
      assert.ok(lost <= 6, `${lost} connections spent`);
    });

  test("beats lost for another reason do not ruin what was learned", async () => {
    // Four in a row are needed to lose a connection: that happens once in an hour or so.
    const { learner } = await live(45_000, (beat) => beat % 40 < 4 && beat > 40, 6);
    assert.ok(learner.intervalMs < 45_000 && learner.intervalMs >= 40_000, String(learner.intervalMs));
  });
});

describe("what was learned, in a file", () => {
  const folder = mkdtempSync(join(tmpdir(), "deadpeer-intervals-"));
  after(() => rmSync(folder, { recursive: true }));
  const learned: LearnedInterval = { goodMs: 30_000, badMs: 45_000, at: 1_000 };

  test("comes back, network by network", () => {
    const file = new IntervalFile(join(folder, "new", "intervals.json"));
    assert.equal(file.load("a"), null);
    file.save("a", learned);
    file.save("__proto__", { ...learned, badMs: null });
    const again = new IntervalFile(file.path);
    assert.deepEqual(again.load("a"), learned);
    assert.deepEqual(again.load("__proto__"), { ...learned, badMs: null });
    assert.equal(again.load("b"), null);
  });

  test("keeps the 256 networks that were met last", () => {
    const file = new IntervalFile(join(folder, "many.json"));
    for (let at = 0; at < 300; at++) file.save(`n${at}`, { ...learned, at });
    assert.equal(file.load("n43"), null);
    assert.equal(file.load("n44")?.at, 44);
  });

  for (const text of ["{", "[]", '{"a":{"goodMs":-1,"badMs":null,"at":0}}', '{"a":7}', "\0\0", ""])
    test(`${JSON.stringify(text)} is put aside, said, and begun anew`, () => {
      const problems: string[] = [];
      const path = join(folder, "corrupt.json");
      writeFileSync(path, text);
      const file = new IntervalFile(path, { onProblem: (problem) => problems.push(problem) });
      assert.equal(file.load("a"), null);
      assert.equal(problems.length, 1);
      assert.match(problems[0] ?? "", /corrupt\.json\.corrupt/);
      assert.equal(readFileSync(`${path}.corrupt`, "utf8"), text);
      file.save("a", learned);
      assert.deepEqual(file.load("a"), learned);
      assert.equal(problems.length, 1);
    });

  test("a place that cannot be written to is said, and nothing else happens", () => {
    const problems: string[] = [];
    writeFileSync(join(folder, "a-file"), "");
    const file = new IntervalFile(join(folder, "a-file", "intervals.json"), {
      onProblem: (problem) => problems.push(problem),
    });
    file.save("a", learned);
    assert.ok(problems.length > 0);
  });
});
