import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { DeadpeerError } from "../../../src/errors.js";
import { encode } from "../../../src/heartbeat/protocol/encode.js";
import { limits, type Message } from "../../../src/heartbeat/protocol/message.js";
import { StreamReader } from "../../../src/heartbeat/protocol/stream-reader.js";
import { anyTalk } from "./made.js";

/** Reads pieces, and keeps copies, as whoever keeps a payload has to. */
function read(pieces: readonly Buffer[]): Message[] {
  const reader = new StreamReader();
  const messages: Message[] = [];
  for (const piece of pieces) {
    // What is handed over may be part of the piece, and the piece is used again by others.
    const own = Buffer.from(piece);
    reader.push(own, (message) =>
      messages.push(
        "payload" in message ? { ...message, payload: Buffer.from(message.payload) } : copied(message),
      ),
    );
    own.fill(0xee);
  }
  return messages;
}

function copied(message: Message): Message {
  if (message.type !== "hello") return message;
  const { session, token, key } = message;
  return {
    ...message,
    session: session === null ? null : Buffer.from(session),
    token: Buffer.from(token),
    key: Buffer.from(key),
  };
}

/** Cuts bytes into pieces, none of them empty. */
function cut(bytes: Buffer, lengths: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  let from = 0;
  for (let n = 0; from < bytes.length; n++) {
    const to = Math.min(bytes.length, from + (lengths[n % lengths.length] ?? 1));
    pieces.push(bytes.subarray(from, to));
    from = to;
  }
  return pieces;
}

const greeting = encode({
  type: "hello",
  version: 1,
  sendEveryMs: 0,
  deadlineMs: 1,
  maxPayload: 1,
  session: null,
  token: Buffer.alloc(0),
  received: 0,
  key: Buffer.alloc(0),
});

describe("a stream of messages", () => {
  test("is the same however it is cut", () => {
    fc.assert(
      fc.property(
        anyTalk,
        fc.array(fc.integer({ min: 1, max: 80 }), { minLength: 1, maxLength: 10 }),
        (talk, lengths) => {
          const bytes = Buffer.concat(talk.map((message) => encode(message)));
          assert.deepEqual(read(cut(bytes, lengths)), talk);
          assert.deepEqual(read(cut(bytes, [1])), talk);
          assert.deepEqual(read([bytes]), talk);
        },
      ),
      { numRuns: 500 },
    );
  });

  test("cut off anywhere, gives what was whole, and says that more was on its way", () => {
    fc.assert(
      fc.property(anyTalk, fc.nat(), (talk, at) => {
        const frames = talk.map((message) => encode(message));
        const bytes = Buffer.concat(frames);
        const end = at % (bytes.length + 1);
        const reader = new StreamReader();
        const seen: Message[] = [];
        reader.push(bytes.subarray(0, end), (message) => seen.push(message));
        let whole = 0;
        let wholeBytes = 0;
        for (const frame of frames) {
          if (wholeBytes + frame.length > end) break;
          wholeBytes += frame.length;
          whole++;
        }
        assert.equal(seen.length, whole);
        assert.equal(reader.inMessage, wholeBytes < end);
      }),
      { numRuns: 500 },
    );
  });

  test("with bytes changed, missing or added, gives messages or says what is wrong, and keeps little", () => {
    fc.assert(
      fc.property(
        anyTalk,
        fc.array(fc.tuple(fc.nat(), fc.nat(255), fc.constantFrom("change", "drop", "add")), {
          minLength: 1,
          maxLength: 5,
        }),
        fc.integer({ min: 1, max: 200 }),
        (talk, changes, length) => {
          let bytes = Buffer.concat(talk.map((message) => encode(message)));
          for (const [at, value, how] of changes) {
            const place = at % bytes.length;
            const rest = bytes.subarray(how === "add" ? place : place + 1);
            bytes = Buffer.concat([
              bytes.subarray(0, place),
              ...(how === "drop" ? [] : [Buffer.of(value)]),
              rest,
            ]);
          }
          const reader = new StreamReader();
          try {
            for (const piece of cut(bytes, [length])) reader.push(piece, () => {});
          } catch (error) {
            assert.ok(error instanceof DeadpeerError && error.code === "heartbeat-protocol", String(error));
          }
        },
      ),
      { numRuns: 3_000 },
    );
  });

  test("garbage is refused by its first bytes", () => {
    for (const text of [
      "GET / HTTP/1.1\r\n",
      "\x16\x03\x01\x02\x00",
      "SSH-2.0-OpenSSH",
      "\x01\x00\x00\x19DPHX",
    ])
      assert.throws(() => read([Buffer.from(text, "latin1")]), { code: "heartbeat-protocol" }, text);
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 9, maxLength: 60 }), (bytes) => {
        fc.pre(Buffer.from(bytes).toString("latin1", 4, 8) !== "DPHB");
        assert.throws(() => read([Buffer.from(bytes)]), { code: "heartbeat-protocol" });
      }),
    );
  });

  test("a length is refused when it is announced, not when it has arrived", () => {
    const huge = Buffer.of(5, 0xff, 0xff, 0xff);
    assert.throws(() => read([greeting, huge]), { code: "heartbeat-protocol" });
    assert.throws(() => read([Buffer.of(1, 0x00, 0x04, 0x01)]), { code: "heartbeat-protocol" });
  });

  test("unknown types are passed over, whatever they hold", () => {
    const later = Buffer.from([77, 0, 0, 3, 1, 2, 3]);
    const bye = encode({ type: "bye", reason: "done", text: "" });
    assert.deepEqual(
      read([Buffer.concat([greeting, later, bye])]).map(({ type }) => type),
      ["hello", "bye"],
    );
  });

  test("the greatest that is allowed goes through, one byte more does not", () => {
    const beat = { type: "beat", number: 1, sendEveryMs: 0, received: 0 } as const;
    const most = encode({ ...beat, payload: Buffer.alloc(limits.beatPayload) });
    assert.equal(read(cut(Buffer.concat([greeting, most]), [1_000])).length, 2);
    assert.throws(() => encode({ ...beat, payload: Buffer.alloc(limits.beatPayload + 1) }), RangeError);
    const more = Buffer.concat([most, Buffer.of(0)]);
    more.writeUIntBE(most.length - 3, 1, 3);
    assert.throws(() => read([greeting, more]), { code: "heartbeat-protocol" });
    const data = encode({ type: "data", sequence: 1, payload: Buffer.alloc(limits.dataPayload) });
    assert.equal(read([greeting, data]).length, 2);
    assert.throws(
      () => encode({ type: "data", sequence: 1, payload: Buffer.alloc(limits.dataPayload + 1) }),
      RangeError,
    );
  });
});
