import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { elide, framesIn } from "../../src/diagram/elide.js";
import type { SequenceItem } from "../../src/diagram/sequence.js";
import { anySequence, frame } from "./made.js";

/** Probes with their answers, ten seconds apart. */
function probing(times: number): SequenceItem[] {
  return Array.from({ length: times }, (_, index) => [
    frame(index * 10_000, "a", "keep-alive"),
    frame(index * 10_000 + 1, "b", "keep-alive ACK"),
  ]).flat();
}

describe("leaving out what repeats", () => {
  test("the first two and the last exchange stay, with the count of the others between", () => {
    const items = elide(probing(20), 90);
    assert.equal(items.length, 7);
    assert.deepEqual(items[4], {
      type: "elided",
      timeMs: 20_000,
      untilMs: 180_001,
      counts: new Map([
        ["keep-alive", 17],
        ["keep-alive ACK", 17],
      ]),
    });
  });

  test("what repeats only a few times stays as it is", () => {
    assert.deepEqual(elide(probing(4), 90), probing(4));
  });

  test("a probe that got no answer is not like those that did", () => {
    const unanswered = [0, 1, 2].map((index) =>
      frame(300_000 + index * 10_000, "a", "keep-alive", { fate: "unanswered" }),
    );
    assert.deepEqual(elide([...probing(20), ...unanswered], 90).slice(-3), unanswered);
  });

  test("a note stands between two repetitions", () => {
    const note: SequenceItem = { type: "note", timeMs: 100_000, text: "cable pulled", tone: "fault" };
    const items = elide([...probing(10), note, ...probing(10)], 90);
    assert.deepEqual(
      items
        .map(({ type }) => type)
        .join(" ")
        .match(/elided/g)?.length,
      2,
    );
    assert.ok(items.includes(note));
  });
});

function frames(items: readonly SequenceItem[]): number {
  return items.reduce((sum, item) => sum + framesIn(item), 0);
}

function stays(item: SequenceItem): boolean {
  return item.type === "note" || (item.type === "frame" && item.keep === true);
}

test("every frame is drawn or counted, notes and kept frames stay, and the rest fits", () => {
  fc.assert(
    fc.property(anySequence, fc.integer({ min: 5, max: 100 }), ({ items }, most) => {
      const left = elide(items, most);
      assert.equal(frames(left), frames(items));
      assert.deepEqual(left.filter(stays), items.filter(stays));
      // Each item that must stay can have one elision before it, and one comes last.
      assert.ok(left.length <= most + 2 * items.filter(stays).length + 1);
    }),
  );
});

test("what is left is in the order of time", () => {
  fc.assert(
    fc.property(anySequence, ({ items }) => {
      const times = elide(items, 30).map(({ timeMs }) => timeMs);
      assert.deepEqual(
        times,
        times.toSorted((one, other) => one - other),
      );
    }),
  );
});
