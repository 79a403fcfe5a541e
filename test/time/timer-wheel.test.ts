import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { TimerWheel } from "../../src/time/timer-wheel.js";

/** Everything the wheel hands over until `nowMs`. */
function due(wheel: TimerWheel, nowMs: number, limit?: number): number[] {
  const handed: number[] = [];
  wheel.advance(nowMs, (entry) => handed.push(entry), limit);
  return handed;
}

const small = { tickMs: 10, slots: 32 };

describe("a timer wheel", () => {
  test("hands over what is due, never early, at most a tick late", () => {
    const wheel = new TimerWheel({ ...small, startMs: 1_000 });
    wheel.set(7, 1_025);
    assert.deepEqual(due(wheel, 1_024), []);
    assert.deepEqual(due(wheel, 1_035), [7]);
    assert.deepEqual(due(wheel, 2_000), [], "once");
    assert.equal(wheel.size, 0);
  });

  test("a deadline that has passed is due at the next tick", () => {
    const wheel = new TimerWheel(small);
    due(wheel, 100);
    wheel.set(1, 50);
    assert.deepEqual(due(wheel, 110), [1]);
  });

  test("keeps a deadline many turns away", () => {
    const wheel = new TimerWheel(small);
    wheel.set(3, 100_000);
    for (let nowMs = 0; nowMs < 100_000; nowMs += 130) assert.deepEqual(due(wheel, nowMs), []);
    assert.deepEqual(due(wheel, 100_010), [3]);
  });

  test("a number may be used again at once, also for what was due and not yet handed over", () => {
    const wheel = new TimerWheel(small);
    wheel.set(1, 10);
    wheel.set(2, 10);
    const handed: number[] = [];
    wheel.advance(10, (entry) => {
      handed.push(entry);
      wheel.delete(1);
      wheel.delete(2);
      wheel.set(1, 500);
    });
    assert.equal(handed.length, 1);
    assert.deepEqual(due(wheel, 499), []);
    assert.deepEqual(due(wheel, 510), [1]);
  });

  test("hands over portions where a limit is given, and says that more is due", () => {
    const wheel = new TimerWheel(small);
    for (let entry = 0; entry < 10; entry++) wheel.set(entry, entry);
    assert.equal(due(wheel, 1_000, 4).length, 4);
    assert.ok((wheel.nextMs() ?? Number.POSITIVE_INFINITY) <= 1_000);
    assert.equal(due(wheel, 1_000, 4).length, 4);
    assert.equal(due(wheel, 1_000).length, 2);
    assert.equal(wheel.nextMs(), null);
  });

  test("an error in the middle loses none of the others", () => {
    const wheel = new TimerWheel(small);
    for (let entry = 0; entry < 3; entry++) wheel.set(entry, 10);
    assert.throws(() =>
      wheel.advance(10, () => {
        throw new Error("of the caller");
      }),
    );
    assert.equal(due(wheel, 10).length, 2);
  });

  test("refuses a wheel that cannot turn", () => {
    for (const wrong of [{ tickMs: 0 }, { tickMs: Number.NaN }, { slots: 100 }, { slots: 16 }])
      assert.throws(() => new TimerWheel(wrong), RangeError);
  });

  test("does what a plain list of deadlines does, whatever is asked of it", () => {
    const entry = fc.integer({ min: 0, max: 40 });
    const step = fc.oneof(
      fc.record({
        op: fc.constant("set" as const),
        entry,
        // Near, some turns away, far away, long past; between ticks as well.
        inMs: fc.oneof(
          fc.double({ min: -50, max: 100, noNaN: true }),
          fc.integer({ min: 100, max: 5_000 }),
          fc.constantFrom(0, 10, 320, 330, 1e7),
        ),
      }),
      fc.record({ op: fc.constant("delete" as const), entry }),
      fc.record({
        op: fc.constant("advance" as const),
        byMs: fc.oneof(fc.double({ min: 0, max: 25, noNaN: true }), fc.integer({ min: 0, max: 2_000 })),
        limit: fc.option(fc.integer({ min: 0, max: 5 }), { nil: Number.POSITIVE_INFINITY }),
      }),
    );
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 120 }),
        fc.integer({ min: -1_000, max: 1_000 }),
        (steps, start) => {
          const wheel = new TimerWheel({ ...small, startMs: start });
          const model = new Map<number, number>();
          const setAt = new Map<number, number>();
          let nowMs: number = start;
          for (const one of steps) {
            if (one.op === "set") {
              wheel.set(one.entry, nowMs + one.inMs);
              model.set(one.entry, nowMs + one.inMs);
              setAt.set(one.entry, nowMs);
            } else if (one.op === "delete") {
              wheel.delete(one.entry);
              model.delete(one.entry);
            } else {
              nowMs += one.byMs;
              const handed = due(wheel, nowMs, one.limit);
              for (const known of handed) {
                assert.ok((model.get(known) ?? Number.POSITIVE_INFINITY) <= nowMs, "not early, not twice");
                model.delete(known);
              }
              if (handed.length < one.limit)
                for (const [known, deadlineMs] of model)
                  assert.ok(
                    Math.max(deadlineMs, setAt.get(known) ?? 0) > nowMs - 10,
                    "no more than a tick late",
                  );
            }
            assert.equal(wheel.size, model.size);
            for (const [known, deadlineMs] of model) assert.equal(wheel.deadlineMs(known), deadlineMs);
            const nextMs = wheel.nextMs();
            assert.equal(nextMs === null, model.size === 0);
            const earliestMs = Math.min(...model.values());
            assert.ok((nextMs ?? 0) <= Math.max(nowMs, earliestMs) + 10, "asks to be looked at in time");
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test("a hundred thousand deadlines, each moved a hundred times: all met, none lost", () => {
    const wheel = new TimerWheel();
    const count = 100_000;
    for (let entry = 0; entry < count; entry++) wheel.set(entry, entry % 30_000);
    for (let round = 1; round <= 100; round++)
      for (let entry = 0; entry < count; entry++) wheel.set(entry, round * 300 + (entry % 30_000));
    const handed = new Set<number>();
    for (let nowMs = 0; nowMs <= 60_010; nowMs += 10)
      wheel.advance(nowMs, (entry) => {
        const lateMs = nowMs - (30_000 + (entry % 30_000));
        assert.ok(lateMs >= 0 && lateMs <= 10, `${lateMs} ms late`);
        handed.add(entry);
      });
    assert.equal(handed.size, count);
  });
});
