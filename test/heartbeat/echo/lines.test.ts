import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { greetingLine, LineReader, parseGreeting } from "../../../src/heartbeat/echo/lines.js";

describe("the echo server's lines", () => {
  test("a greeting is read as it was written, and with words that came later", () => {
    const greeting = { version: 1, id: "00112233445566778899aabb", address: "2001:db8::1", port: 40_001 };
    const line = greetingLine(greeting);
    assert.equal(line, "deadpeer-echo 1 00112233445566778899aabb 2001:db8::1 40001\n");
    assert.deepEqual(parseGreeting(line.trimEnd()), greeting);
    assert.deepEqual(parseGreeting(`${line.trimEnd()} and more`), greeting);
  });

  test("other servers' first words are no greeting, nor is any garbage", () => {
    for (const line of [
      "",
      "SSH-2.0-OpenSSH_9.2p1",
      "220 mail ESMTP",
      "deadpeer-echo",
      "deadpeer-echo 1 x 192.0.2.1 1",
    ])
      assert.equal(parseGreeting(line), null);
    fc.assert(fc.property(fc.string(), (line) => void parseGreeting(`deadpeer-echo ${line}`)));
  });

  test("lines come out whole, however they arrive", () => {
    const lines = fc.array(fc.stringMatching(/^[ -~]{0,40}$/), { maxLength: 10 });
    fc.assert(
      fc.property(lines, fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 20 }), (lines, cuts) => {
        let rest = lines.map((line) => `${line}\r\n`).join("");
        const reader = new LineReader();
        const got: string[] = [];
        for (const cut of [...cuts, rest.length]) {
          assert.ok(reader.push(Buffer.from(rest.slice(0, cut)), (line) => got.push(line)));
          rest = rest.slice(cut);
        }
        assert.deepEqual(got, lines);
      }),
    );
  });

  test("a line that is too long is refused, with its end or without, at once or bit by bit", () => {
    assert.equal(new LineReader().push(Buffer.alloc(201, "x"), ignore), false);
    assert.equal(new LineReader().push(Buffer.from(`${"x".repeat(201)}\n`), ignore), false);
    const reader = new LineReader();
    assert.equal(reader.push(Buffer.alloc(150, "x"), ignore), true);
    assert.equal(reader.push(Buffer.alloc(150, "x"), ignore), false);
  });
});

function ignore(): void {}
