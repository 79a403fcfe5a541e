import * as fc from "fast-check";
import { byeReasons, type Message } from "../../../src/heartbeat/protocol/message.js";

/** Plain objects, as the decoder makes them. */
const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(model, { noNullPrototype: true });

const uint32 = fc.integer({ min: 0, max: 0xffffffff });
const sequence = fc.maxSafeInteger().map(Math.abs);
const bytes = (maxLength: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ maxLength }).map((array) => Buffer.from(array));
const exactly = (length: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((array) => Buffer.from(array));

const hello: fc.Arbitrary<Message> = record({
  type: fc.constant("hello" as const),
  version: fc.constant(1),
  sendEveryMs: uint32,
  deadlineMs: uint32,
  maxPayload: uint32,
  session: fc.option(exactly(16), { nil: null }),
  token: bytes(64),
  received: sequence,
  key: fc.oneof(exactly(32), fc.constant(Buffer.alloc(0))),
});

/** Any message but a hello. */
export const anyMessage: fc.Arbitrary<Message> = fc.oneof(
  record({
    type: fc.constantFrom("beat" as const, "answer" as const),
    number: uint32,
    sendEveryMs: uint32,
    received: sequence,
    payload: bytes(300),
  }),
  record({ type: fc.constant("data" as const), sequence, payload: bytes(300) }),
  record({ type: fc.constant("acknowledgement" as const), received: sequence }),
  record({
    type: fc.constant("bye" as const),
    reason: fc.constantFrom(...byeReasons),
    text: fc.string({ maxLength: 60 }),
  }),
);

/** What one side sends over a connection: a hello, then anything. */
export const anyTalk: fc.Arbitrary<Message[]> = fc
  .tuple(hello, fc.array(anyMessage, { maxLength: 12 }))
  .map(([first, rest]) => [first].concat(rest));
