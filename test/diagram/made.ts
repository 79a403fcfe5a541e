import * as fc from "fast-check";
import type { Look, Sequence, SequenceFrame, SequenceItem, Side } from "../../src/diagram/sequence.js";

/** A frame with what a test does not care about filled in. */
export function frame(
  timeMs: number,
  from: Side,
  what: string,
  more: Partial<SequenceFrame> = {},
): SequenceFrame {
  return { type: "frame", timeMs, from, look: "data", what, label: what, frame: null, ...more };
}

/** A sequence with what a test does not care about filled in. */
export function sequence(items: readonly SequenceItem[], more: Partial<Sequence> = {}): Sequence {
  return {
    id: "made",
    title: "made",
    description: "made for a test",
    a: { name: "a", address: "192.0.2.1", port: 51000 },
    b: { name: "b", address: "192.0.2.2", port: 443 },
    settings: [],
    items,
    span: null,
    ...more,
  };
}

const looks: readonly Look[] = ["open", "data", "ack", "probe", "answer", "again", "close", "reset", "icmp"];
const side = fc.constantFrom<Side>("a", "b");
const text = fc.oneof(
  fc.lorem({ maxCount: 40 }),
  fc.string({ unit: "binary", maxLength: 200 }),
  fc.constantFrom("keep-alive", "電源が切れた", "x".repeat(300), "<b>&amp;"),
);
const waitMs = fc.oneof(
  fc.constantFrom(0, 0.2, 10_000, 7_200_000),
  fc.double({ min: 0, max: 1e9, noNaN: true }),
);

const item: fc.Arbitrary<SequenceItem> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant("frame" as const),
      timeMs: waitMs,
      from: side,
      look: fc.constantFrom(...looks),
      what: fc.constantFrom("data", "keep-alive", "keep-alive ACK"),
      label: text,
      frame: fc.option(fc.nat()),
      keep: fc.boolean(),
      fate: fc.constantFrom("lost" as const, "unanswered" as const),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant("note" as const),
      timeMs: waitMs,
      text,
      tone: fc.constantFrom(
        "plain" as const,
        "fault" as const,
        "heal" as const,
        "heard" as const,
        "noticed" as const,
      ),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant("elided" as const),
      timeMs: waitMs,
      untilMs: fc.constant(0),
      counts: fc
        .dictionary(text, fc.integer({ min: 1, max: 9 }))
        .map((counts) => new Map(Object.entries(counts))),
    }),
  },
);

/** Any sequence: its items' waits are added up, so that time goes on. */
export const anySequence: fc.Arbitrary<Sequence> = fc
  .record({
    items: fc.array(item, { maxLength: 200 }),
    settings: fc.array(text, { maxLength: 3 }),
    title: text,
    description: text,
    name: text,
    address: fc.oneof(fc.ipV4(), fc.ipV6(), fc.constant("2001:0db8:1234:5678:9abc:def0:1234:5678")),
    span: fc.option(fc.record({ fromMs: fc.option(waitMs), untilMs: waitMs, side })),
  })
  .map(({ items, name, address, ...more }) => {
    let timeMs = 0;
    const inOrder = items.map((each) => {
      timeMs += each.timeMs;
      return each.type === "elided" ? { ...each, timeMs, untilMs: timeMs } : { ...each, timeMs };
    });
    const end = { name, address, port: 65_535 };
    return sequence(inOrder, { ...more, a: end, b: end });
  });
