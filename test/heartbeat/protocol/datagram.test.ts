import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { DeadpeerError } from "../../../src/errors.js";
import {
  datagramPayload,
  type Envelope,
  isAuthentic,
  messageIn,
  readEnvelope,
  sealDatagram,
} from "../../../src/heartbeat/protocol/datagram.js";
import { encode } from "../../../src/heartbeat/protocol/encode.js";
import { ReplayWindow } from "../../../src/heartbeat/protocol/replay-window.js";
import { anyMessage } from "./made.js";

const key = Buffer.alloc(32, 7);
const envelope: Envelope = { direction: "from-client", id: Buffer.alloc(16, 3), sequence: 5 };

describe("datagrams", () => {
  test("carry one message, and who sent it", () => {
    fc.assert(
      fc.property(
        anyMessage,
        fc.constantFrom("from-client" as const, "from-server" as const),
        fc.maxSafeInteger().map((n) => Math.abs(n)),
        (message, direction, sequence) => {
          const datagram = sealDatagram(key, { ...envelope, direction, sequence }, encode(message));
          assert.deepEqual(readEnvelope(datagram), { ...envelope, direction, sequence });
          assert.ok(isAuthentic(key, datagram));
          assert.deepEqual(messageIn(datagram), message);
        },
      ),
    );
  });

  test("changed anywhere, cut anywhere, or under another key, are not authentic", () => {
    const datagram = sealDatagram(key, envelope, encode({ type: "acknowledgement", received: 9 }));
    for (let at = 0; at < datagram.length; at++) {
      const forged = Buffer.from(datagram);
      forged.writeUInt8(forged.readUInt8(at) ^ 1, at);
      assert.equal(isAuthentic(key, forged), false, `byte ${at}`);
      assert.equal(isAuthentic(key, datagram.subarray(0, at)), false, `${at} bytes`);
    }
    assert.equal(isAuthentic(Buffer.alloc(32, 8), datagram), false);
  });

  test("anything at all is read without a crash", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
        const datagram = Buffer.from(bytes);
        isAuthentic(key, datagram);
        if (readEnvelope(datagram) === null) return;
        try {
          messageIn(datagram);
        } catch (error) {
          assert.ok(error instanceof DeadpeerError && error.code === "heartbeat-protocol", String(error));
        }
      }),
      { numRuns: 5_000 },
    );
  });

  test("hold as much as UDP does", () => {
    const beat = { type: "beat", number: 1, sendEveryMs: 0, received: 0 } as const;
    const datagram = sealDatagram(key, envelope, encode({ ...beat, payload: Buffer.alloc(datagramPayload) }));
    assert.equal(datagram.length, 65_507);
    assert.throws(
      () => sealDatagram(key, envelope, encode({ ...beat, payload: Buffer.alloc(datagramPayload + 1) })),
      RangeError,
    );
  });
});

describe("a replay window", () => {
  test("takes each number once, in any order, and none that is 64 behind", () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.integer({ min: 0, max: 200 }), fc.integer({ min: 0, max: 2_000 })), {
          maxLength: 300,
        }),
        (sequences) => {
          const window = new ReplayWindow();
          const seen = new Set<number>();
          let newest = 0;
          for (const sequence of sequences) {
            const expected = sequence > 0 && !seen.has(sequence) && sequence > newest - 64;
            assert.equal(window.take(sequence), expected, `${sequence} after ${[...seen].join(" ")}`);
            if (expected) seen.add(sequence);
            newest = Math.max(newest, sequence);
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test("numbers that are none are refused", () => {
    const window = new ReplayWindow();
    for (const odd of [0, -1, 1.5, Number.NaN, 2 ** 53]) assert.equal(window.take(odd), false);
    assert.equal(window.take(2 ** 53 - 1), true);
    assert.equal(window.take(1), false);
  });
});
