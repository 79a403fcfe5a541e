import { encode } from "../../src/heartbeat/protocol/encode.js";

/**
 * What the bench's clients say in deadpeer's protocol, from the library's own encoder: hello, a beat, and an answer's length.
 *
 * @param sendEveryMs how often the server is told to expect them.
 */
export function clientBytes(sendEveryMs: number): string[] {
  const nothing = new Uint8Array();
  const hello = encode({
    type: "hello",
    version: 1,
    sendEveryMs,
    deadlineMs: 7_200_000,
    maxPayload: 65_536,
    session: null,
    token: nothing,
    received: 0,
    key: nothing,
  });
  const beat = { number: 0, sendEveryMs, received: 0, payload: nothing };
  const answer = encode({ ...beat, type: "answer" });
  return [hello.toString("hex"), encode({ ...beat, type: "beat" }).toString("hex"), String(answer.length)];
}
