import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { array, assert as holds, nat, property, uint8Array } from "fast-check";
import {
  type Answer,
  AnswerReader,
  answerBounds,
  persistsAfter,
  UnreadableAnswer,
} from "../../../src/http/measure/answer-reader.js";

function read(text: string, { head = false, end = false } = {}): { answer: Answer | null; taken: number } {
  const reader = new AnswerReader({ head });
  const taken = reader.push(Buffer.from(text, "latin1"));
  if (end) reader.end();
  return { answer: reader.answer, taken };
}

const samples = {
  length: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: 1\r\nx: 2\r\n\r\nhello",
  chunked:
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n5;a=b\r\nhello\r\n0A\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n",
  interim:
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.0 404 Not Found\nContent-Length: 0\n\n",
  empty: "HTTP/1.1 204\r\nContent-Length: 5\r\n\r\n",
};

describe("an answer", () => {
  it("is whole after its length, its last chunk, or its head", () => {
    assert.deepEqual(read(samples.length), {
      taken: samples.length.length,
      answer: {
        version: "1.1",
        status: 200,
        headers: new Map([
          ["content-length", ["5"]],
          ["x", ["1", "2"]],
        ]),
        framing: "length",
        bodyBytes: 5,
        interim: 0,
      },
    });
    const { answer: chunked } = read(samples.chunked);
    assert.deepEqual([chunked?.framing, chunked?.bodyBytes], ["chunked", 15]);
    const { answer: interim } = read(samples.interim);
    assert.deepEqual([interim?.version, interim?.status, interim?.interim], ["1.0", 404, 2]);
    assert.equal(read(samples.empty).answer?.framing, "none");
    assert.equal(read(samples.length, { head: true }).answer?.bodyBytes, 0);
  });

  it("without a length ends with the connection", () => {
    const text = "HTTP/1.1 200 OK\r\n\r\nhello";
    assert.equal(read(text).answer, null);
    assert.deepEqual(
      [read(text, { end: true }).answer?.framing, read(text, { end: true }).answer?.bodyBytes],
      ["until-close", 5],
    );
    // What has a length does not.
    assert.equal(read("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", { end: true }).answer, null);
  });

  it("leaves alone what comes after it", () => {
    for (const text of Object.values(samples)) assert.equal(read(`${text}HTTP/1.1 500`).taken, text.length);
  });

  it("is the same in pieces of any size", () => {
    for (const text of Object.values(samples))
      for (let size = 1; size < text.length; size++) {
        const reader = new AnswerReader({ head: false });
        for (let at = 0; at < text.length; at += size)
          reader.push(Buffer.from(text.slice(at, at + size), "latin1"));
        assert.deepEqual(reader.answer, read(text).answer, `${size}`);
      }
  });

  it("goes on over folded lines", () => {
    const { answer } = read(
      "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5,\r\n\t max=7\r\nContent-Length: 0\r\n\r\n",
    );
    assert.deepEqual(answer?.headers.get("keep-alive"), ["timeout=5, max=7"]);
  });

  for (const [what, text, reason] of [
    // No line need end, nor need there be another one.
    ["is no HTTP", "SSH-2.0-OpenSSH_9.2\r\n", /is not HTTP, but begins with "SSH-2\.0-OpenSSH_9\.2"$/],
    ["is HTTP/0.9", "<html>", /is not HTTP, but begins with "<html>"$/],
    ["begins with terminal escapes", "\u001B[2J\u009B", /begins with "\\x1b\[2J\\x9b"$/],
    ["is HTTP/2 without TLS", "\0\0\u0006\u0004\0\0\0\0\0\0\u0004\0\0\u00FF\u00FF", /is HTTP\/2, which/],
    ["is an alert of TLS", "\u0015\u0003\u0001\0\u0002\u0002\u0046", /is a TLS alert; write https/],
    ["is of another version", "HTTP/3.0 200 OK\r\n\r\n", /is not HTTP\/1, but begins with "HTTP\/3/],
    [
      "has two lengths",
      "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n",
      /Content-Length that is none: 5, 6/,
    ],
    ["has a negative length", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", /Content-Length/],
    [
      "has an absurd length",
      `HTTP/1.1 200 OK\r\nContent-Length: ${"9".repeat(30)}\r\n\r\n`,
      /Content-Length/,
    ],
    ["has a header that is none", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n", /has a header that is none/],
    ["has no chunk size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", /no number/],
    [
      "has chunks longer than they say",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n",
      /longer than it says/,
    ],
    ["switches protocols", "HTTP/1.1 101 Switching\r\n\r\n", /another protocol/],
    ["goes on with 1xx", "HTTP/1.1 100 Continue\r\n\r\n".repeat(answerBounds.interim + 1), /1xx/],
    ["has headers without end", `HTTP/1.1 200 OK\r\n${"a: b\r\n".repeat(20_000)}`, /without end/],
    [
      "has a chunk size without end",
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;${"x".repeat(5_000)}`,
      /chunk size without end/,
    ],
  ] as const)
    it(`that ${what} is refused`, () =>
      assert.throws(
        () => read(text),
        (error) => error instanceof UnreadableAnswer && reason.test(error.message),
      ));

  it("never does anything but be read or refused, whatever comes", () => {
    const garbage = array(uint8Array({ maxLength: 40 }), { maxLength: 8 });
    holds(
      property(garbage, nat(samples.chunked.length), (pieces, cut) => {
        const reader = new AnswerReader({ head: false });
        try {
          reader.push(Buffer.from(samples.chunked.slice(0, cut)));
          for (const piece of pieces) assert.ok(reader.push(Buffer.from(piece)) <= piece.length);
          reader.end();
        } catch (error) {
          assert.ok(error instanceof UnreadableAnswer);
        }
      }),
    );
  });
});

describe("a connection may be used again", () => {
  for (const [text, expected] of [
    ["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true],
    ["HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", false],
    ["HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x, CLOSE\r\n\r\n", false],
    ["HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false],
    ["HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: Keep-Alive\r\n\r\n", true],
    ["HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", false],
  ] as const)
    it(`${expected ? "after" : "but not after"} ${JSON.stringify(text)}`, () => {
      const { answer } = read(text, { end: true });
      assert.ok(answer !== null);
      assert.equal(persistsAfter(answer), expected);
    });
});
