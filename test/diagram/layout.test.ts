import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { framesIn } from "../../src/diagram/elide.js";
import { type Box, columns, type Layout, layOut } from "../../src/diagram/layout.js";
import { anySequence, frame, sequence } from "./made.js";

function overlap(one: Box, other: Box): boolean {
  return (
    one.x < other.x + other.width &&
    other.x < one.x + one.width &&
    one.y < other.y + other.height &&
    other.y < one.y + one.height
  );
}

function inside(inner: Box, outer: Box): boolean {
  const right = inner.x + inner.width <= outer.x + outer.width + 0.01;
  const bottom = inner.y + inner.height <= outer.y + outer.height + 0.01;
  return inner.x >= outer.x - 0.01 && inner.y >= outer.y - 0.01 && right && bottom;
}

function assertClear({ texts, height, arrows }: Layout): void {
  const page = { x: 0, y: 0, width: columns.width, height };
  for (const [index, { text, box }] of texts.entries()) {
    assert.ok(inside(box, page), `"${text}" leaves the drawing: ${JSON.stringify(box)}`);
    // Texts are placed from top to bottom, but heads and gutters are side by side.
    for (const other of texts.slice(index + 1, index + 12))
      assert.ok(!overlap(box, other.box), `"${text}" lies on "${other.text}"`);
  }
  for (const { y } of arrows) {
    const line = { x: columns.a, y: y - 3, width: columns.b - columns.a, height: 6 };
    for (const { text, box } of texts) assert.ok(!overlap(box, line), `an arrow crosses "${text}"`);
  }
}

describe("the layout of any sequence", () => {
  test("no text lies on another, leaves the drawing or is crossed by an arrow", () => {
    fc.assert(fc.property(anySequence, (made) => assertClear(layOut(made))));
  });

  test("every frame is an arrow or counted", () => {
    fc.assert(
      fc.property(anySequence, (made) => {
        const { items, arrows } = layOut(made);
        const total = made.items.reduce((sum, item) => sum + framesIn(item), 0);
        const counted = items.reduce((sum, item) => sum + (item.type === "elided" ? framesIn(item) : 0), 0);
        assert.equal(arrows.length + counted, total);
      }),
    );
  });

  test("later is further down", () => {
    fc.assert(
      fc.property(anySequence, (made) => {
        const ys = layOut(made).arrows.map(({ y }) => y);
        assert.deepEqual(
          ys,
          ys.toSorted((one, other) => one - other),
        );
      }),
    );
  });

  test("the silence ends within the drawing, below where it begins", () => {
    fc.assert(
      fc.property(anySequence, (made) => {
        const { band, lifelines } = layOut(made);
        if (band === null) return;
        assert.ok(band.top <= band.bottom && band.top >= lifelines.top && band.bottom <= lifelines.bottom);
      }),
    );
  });
});

function at(...times: number[]): Layout {
  return layOut(sequence(times.map((ms, index) => frame(ms, "a", `${index}`))));
}

describe("the scale of time", () => {
  test("equal waits are equally far apart", () => {
    const { arrows, breaks } = at(0, 10_000, 20_000, 30_000);
    const [first = 0, second = 0, third = 0, fourth = 0] = arrows.map(({ y }) => y);
    assert.equal(second - first, third - second);
    assert.equal(third - second, fourth - third);
    assert.deepEqual(breaks, []);
  });

  test("a long silence is cut short and says how long it was", () => {
    const { texts, breaks } = at(0, 7_200_000, 7_275_000, 7_350_000);
    assert.equal(breaks.length, 3);
    assert.ok(texts.some(({ text }) => text === "2h of silence"));
    assert.ok(texts.some(({ text }) => text === "1m 15s of silence"));
  });

  test("an IPv6 address in full is not cut", () => {
    const address = "2001:0db8:1234:5678:9abc:def0:1234:5678";
    const end = { name: "a", address, port: 65_535 };
    const { texts } = layOut(sequence([], { a: end, b: end }));
    assert.equal(texts.filter(({ text }) => text === address).length, 2);
  });
});
