import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { VirtualClock } from "../../src/time/virtual-clock.js";

describe("a virtual clock", () => {
  test("fires every timer at its moment, in order, also those set meanwhile", async () => {
    const clock = new VirtualClock(1_000_000);
    const seen: string[] = [];
    const note = (what: string) => seen.push(`${what} ${clock.monotonic()} ${clock.now()}`);
    clock.set(() => note("late"), 3_600_000);
    clock.set(() => {
      note("first");
      clock.set(() => note("nested"), 5);
    }, 10);
    clock.set(() => note("second"), 10);
    await clock.advance(3_600_000);
    assert.deepEqual(seen, [
      "first 10 1000010",
      "second 10 1000010",
      "nested 15 1000015",
      "late 3600000 4600000",
    ]);
    assert.equal(clock.pending, 0);
  });

  test("lets code that awaits go on in between", async () => {
    const clock = new VirtualClock();
    const seen: number[] = [];
    const wait = (ms: number) => new Promise<void>((resolve) => clock.set(resolve, ms));
    const work = (async () => {
      for (let round = 0; round < 3; round++) {
        await wait(100);
        seen.push(clock.monotonic());
      }
    })();
    await clock.advance(1_000);
    await work;
    assert.deepEqual(seen, [100, 200, 300]);
  });

  test("a cleared timer does not fire, nor does clearing a fired one do harm", () => {
    const clock = new VirtualClock();
    const timer = clock.set(() => assert.fail("was cleared"), 5);
    const fired = clock.set(() => {}, 5);
    clock.clear(timer);
    clock.advanceSync(5);
    clock.clear(fired);
    clock.clear(timer);
    assert.equal(clock.pending, 0);
  });

  test("after a pause timers fire late; sleep stops the monotonic clock only", () => {
    const clock = new VirtualClock();
    let firedAt = -1;
    clock.set(() => (firedAt = clock.monotonic()), 100);
    clock.suspend(5_000);
    assert.deepEqual([clock.now(), clock.monotonic()], [5_000, 0]);
    clock.pause(2_000);
    assert.equal(firedAt, -1);
    clock.advanceSync(0);
    assert.equal(firedAt, 2_000);
    clock.setWall(5);
    clock.advanceSync(1);
    assert.deepEqual([clock.now(), clock.monotonic()], [6, 2_001]);
  });

  test("any timers fire in the order of their times", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 1_000 }), { maxLength: 200 }), (delays) => {
        const clock = new VirtualClock();
        const fired: number[] = [];
        for (const delay of delays) clock.set(() => fired.push(delay), delay);
        clock.advanceSync(1_000);
        assert.deepEqual(
          fired,
          [...delays].sort((a, b) => a - b),
        );
      }),
    );
  });
});
