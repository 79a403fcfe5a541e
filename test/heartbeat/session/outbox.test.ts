import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import {
  Outbox,
  type QueueBounds,
  queueBounds,
  type QueuePolicy,
} from "../../../src/heartbeat/session/outbox.js";

/** An outbox, what it has dropped, and messages by their length. */
function box(bounds: Partial<QueueBounds>): {
  outbox: Outbox;
  dropped: string[];
  give: (text: string) => boolean;
  send: () => string | null;
} {
  const outbox = new Outbox(queueBounds(bounds));
  const dropped: string[] = [];
  return {
    outbox,
    dropped,
    give: (text) =>
      outbox.push(Buffer.from(text), ({ sequence, payload }) =>
        dropped.push(`${sequence} ${String(payload)}`),
      ),
    send() {
      const next = outbox.next();
      if (next !== null) outbox.advance();
      return next === null ? null : `${next.sequence} ${String(next.payload)}`;
    },
  };
}

const full = (): never => {
  throw new Error("no space left on device");
};

describe("what waits for a peer", () => {
  test("where it cannot be written down that one is dropped, it is not, and the new one not taken", () => {
    const { outbox, give, send } = box({ messages: 2, policy: "drop-oldest" });
    give("a");
    give("b");
    assert.throws(() => outbox.push(Buffer.from("c"), full), /no space left/);
    assert.equal(outbox.length, 2);
    assert.equal(outbox.bytes, 2);
    assert.deepEqual([send(), send(), send()], ["1 a", "2 b", null]);
  });

  for (const [bound, bounds] of [
    ["messages", { messages: 3 }],
    ["bytes", { bytes: 3 }],
  ] as const) {
    test(`more ${bound} than allowed: refused`, () => {
      const { outbox, dropped, give } = box({ ...bounds, policy: "refuse" });
      for (const text of ["a", "b", "c"]) assert.equal(give(text), true);
      assert.throws(() => give("d"), { code: "queue-full", message: /^3 messages of 3 bytes wait/ });
      assert.deepEqual([outbox.length, outbox.bytes, dropped], [3, 3, []]);
      outbox.advance();
      assert.equal(outbox.acknowledge(1), 1);
      assert.equal(give("d"), true, "there is room again");
    });

    test(`more ${bound} than allowed: the new one is dropped`, () => {
      const { outbox, dropped, give } = box({ ...bounds, policy: "drop-newest" });
      for (const text of ["a", "b", "c"]) assert.equal(give(text), true);
      assert.equal(give("d"), false);
      assert.deepEqual([outbox.length, outbox.bytes, dropped], [3, 3, ["4 d"]]);
    });

    test(`more ${bound} than allowed: the oldest is dropped that was never sent, and the numbers stay without a gap`, () => {
      const { outbox, dropped, give, send } = box({ ...bounds, policy: "drop-oldest" });
      for (const text of ["a", "b", "c"]) assert.equal(give(text), true);
      assert.equal(send(), "1 a");
      assert.equal(give("d"), true);
      assert.deepEqual(dropped, ["2 b"]);
      assert.deepEqual([send(), send(), send()], ["2 c", "3 d", null]);
      assert.equal(give("e"), false, "all of them may have arrived");
      assert.deepEqual(dropped, ["2 b", "4 e"]);
      assert.deepEqual([outbox.length, outbox.bytes], [3, 3]);
    });
  }

  test("a big one displaces as many as it needs, and none if that would be in vain", () => {
    const { outbox, dropped, give, send } = box({ bytes: 10, policy: "drop-oldest" });
    for (const text of ["aa", "bb", "cc", "dd"]) give(text);
    assert.equal(give("12345"), true);
    assert.deepEqual(dropped.splice(0), ["1 aa", "1 bb"]);
    assert.equal(give("longer than all"), false);
    assert.deepEqual(dropped.splice(0), ["4 longer than all"]);
    assert.equal(send(), "1 cc");
    assert.equal(give("123456789"), false, "the sent one stays");
    assert.deepEqual(dropped, ["4 123456789"]);
    assert.deepEqual([outbox.length, outbox.bytes], [3, 9]);
  });

  test("nothing is given that cannot be", () => {
    for (const [bounds, message] of [
      [{ messages: 0 }, /^queue.messages: 0 /],
      [{ messages: 1.5 }, /^queue.messages: 1.5 /],
      [{ bytes: -1 }, /^queue.bytes: -1 /],
      [{ bytes: Number.NaN }, /^queue.bytes: NaN /],
      [{ policy: "drop" as QueuePolicy }, /^queue.policy: "drop" is none; write "drop-oldest" or/],
    ] as const)
      assert.throws(() => queueBounds(bounds), { code: "bad-option", message });
  });

  test("whatever happens: within its bounds, without gaps, nothing that was sent is dropped, and the rest in order", () => {
    const step = fc.oneof(
      fc.record({ give: fc.integer({ min: 0, max: 12 }) }),
      fc.record({ send: fc.constant(true) }),
      fc.record({ acknowledge: fc.integer({ min: 0, max: 5 }) }),
      fc.record({ again: fc.constant(true) }),
    );
    fc.assert(
      fc.property(
        fc.constantFrom<QueuePolicy>("drop-oldest", "drop-newest", "refuse"),
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 30 }),
        fc.array(step, { maxLength: 80 }),
        (policy, messages, bytes, steps) => {
          const outbox = new Outbox({ policy, messages, bytes });
          /** What each sequence was when it was first sent. */
          const sent = new Map<number, number>();
          const gone = new Set<number>();
          let given = 0;
          for (const step of steps) {
            if ("give" in step) {
              const payload = Buffer.alloc(step.give);
              // The message's number stands for it where there is room for that.
              const id = ++given;
              ids.set(payload, id);
              const dropped: number[] = [];
              try {
                outbox.push(payload, (one) => dropped.push(ids.get(one.payload) ?? 0));
              } catch {
                assert.equal(policy, "refuse");
                gone.add(id);
              }
              for (const one of dropped) {
                assert.ok(![...sent.values()].includes(one), "a sent one was dropped");
                gone.add(one);
              }
            } else if ("send" in step) {
              const next = outbox.next();
              if (next === null) continue;
              const id = ids.get(next.payload) ?? 0;
              assert.equal(sent.get(next.sequence) ?? id, id, "a sequence has meant another message");
              sent.set(next.sequence, id);
              outbox.advance();
            } else if ("acknowledge" in step) {
              const upTo = outbox.acknowledged + step.acknowledge;
              assert.equal(outbox.acknowledge(upTo) === null, upTo > sent.size);
            } else outbox.again();
            assert.ok(outbox.length <= messages && outbox.bytes <= bytes);
          }
          for (outbox.again(); ; outbox.advance()) {
            const next = outbox.next();
            if (next === null) break;
            sent.set(next.sequence, ids.get(next.payload) ?? 0);
          }
          const expected = Array.from({ length: given }, (_, n) => n + 1).filter((id) => !gone.has(id));
          assert.deepEqual(
            [...sent.keys()],
            [...sent.keys()].map((_, n) => n + 1),
          );
          assert.deepEqual([...sent.values()], expected);
        },
      ),
      { numRuns: 2_000 },
    );
  });
});

/** Of payloads, which is which. */
const ids = new WeakMap<Uint8Array, number>();
