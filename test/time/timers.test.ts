import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Timers } from "../../src/time/timers.js";
import { VirtualClock } from "../../src/time/virtual-clock.js";

describe("timers on a wheel", () => {
  test("any number of them take one timer of the clock, and none when nothing is set", () => {
    const clock = new VirtualClock();
    const timers = new Timers({ clock });
    const all = Array.from({ length: 1_000 }, () => timers.timer(() => {}));
    assert.equal(clock.pending, 0);
    for (const [index, timer] of all.entries()) timer.set(1_000 + index);
    assert.deepEqual([timers.size, clock.pending], [1_000, 1]);
    for (const timer of all) timer.close();
    assert.deepEqual([timers.size, clock.pending], [0, 0]);
  });

  test("a timer fires once for each time it is set, and the last time counts", () => {
    const clock = new VirtualClock();
    const timers = new Timers({ clock });
    const fired: number[] = [];
    const timer = timers.timer(() => fired.push(clock.monotonic()));
    timer.set(500);
    clock.advanceSync(400);
    timer.set(500);
    clock.advanceSync(10_000);
    timer.set(100);
    timer.set(20);
    clock.advanceSync(10_000);
    timer.set(100);
    timer.clear();
    clock.advanceSync(10_000);
    timer.close();
    timer.set(5);
    clock.advanceSync(10_000);
    assert.deepEqual(fired, [900, 10_420]);
  });

  test("does not drift: each second a thousand times ends after a thousand seconds", () => {
    const clock = new VirtualClock();
    const timers = new Timers({ clock });
    let dueMs = 0;
    let rounds = 0;
    const timer = timers.timer(() => {
      rounds++;
      dueMs += 1_000;
      timer.set(dueMs + 1_000 - clock.monotonic());
    });
    timer.set(1_000);
    clock.advanceSync(1_000_000);
    assert.equal(rounds, 1_000);
  });

  test("sees a standstill before anything fires, and reads what has arrived first", () => {
    const clock = new VirtualClock();
    const seen: string[] = [];
    const timers = new Timers({ clock, onStandstill: (lateMs) => seen.push(`stood ${lateMs}`) });
    const timer = timers.timer(() => seen.push("fired"));
    timer.set(1_000);
    clock.pause(20_000);
    // The event loop turns to its sockets after this timer and before the next one.
    clock.set(() => {
      seen.push("read");
      timer.set(1_000);
    }, 0);
    clock.advanceSync(0);
    assert.deepEqual(seen, ["stood 19000", "read"], "what was read moved the deadline away");
    clock.advanceSync(1_000);
    assert.deepEqual(seen, ["stood 19000", "read", "fired"]);
  });

  test("ten thousand due at once fire in portions", () => {
    const clock = new VirtualClock();
    const timers = new Timers({ clock });
    let fired = 0;
    let portions = 0;
    for (let n = 0; n < 10_000; n++)
      timers
        .timer(() => {
          if (fired++ % 1_000 === 0) clock.set(() => portions++, 0);
        })
        .set(500);
    clock.advanceSync(500);
    assert.deepEqual([fired, portions], [10_000, 10]);
  });

  test("an error in one leaves the others alone", () => {
    const clock = new VirtualClock();
    const timers = new Timers({ clock });
    let fired = 0;
    for (let n = 0; n < 3; n++)
      timers
        .timer(() => {
          fired++;
          throw new Error("of the caller");
        })
        .set(10);
    for (let n = 0; n < 3; n++) assert.throws(() => clock.advanceSync(10));
    assert.equal(fired, 3);
  });

  test("longer than a timer of JavaScript can be", () => {
    const clock = new VirtualClock();
    const timers = new Timers({ clock });
    let firedAt = 0;
    timers.timer(() => (firedAt = clock.monotonic())).set(3e9);
    clock.advanceSync(3e9 + 10);
    assert.ok(firedAt >= 3e9);
  });
});
