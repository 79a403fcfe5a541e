import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { AsciiWriter } from "../../src/cli/ascii-writer.js";
import { writeJson } from "../../src/cli/ls-json.js";
import type { Connection } from "../../src/host/connection.js";
import { madeConnection, protectedConnection } from "../host/made.js";

/** A reader that takes its time, and counts what had to wait for it. */
class SlowReader extends Writable {
  readonly chunks: Buffer[] = [];
  most = 0;

  constructor() {
    super({ highWaterMark: 1_024 });
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.chunks.push(Buffer.from(chunk));
    this.most = Math.max(this.most, this.writableLength);
    setImmediate(done);
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString("utf8");
  }
}

async function written(connections: Parameters<typeof writeJson>[0]): Promise<string> {
  const reader = new SlowReader();
  await writeJson(connections, reader);
  await new Promise<void>((resolve) => reader.end(resolve));
  return reader.text;
}

describe("--json", () => {
  test("no connections are an empty array", async () => assert.equal(await written([]), "[]\n"));

  test("says what the connections say, one a line", async () => {
    const connections: readonly Connection[] = [
      madeConnection(),
      protectedConnection({ netns: "blue", lastHeardMs: null }),
      madeConnection({
        family: 6,
        local: { address: "::1", port: 1 },
        remote: { address: "fe80::1", port: 65_535 },
      }),
      madeConnection({
        settingsFrom: "timer",
        keepalive: null,
        userTimeoutMs: null,
        processes: [],
        inode: 2 ** 32 - 1,
      }),
      madeConnection({
        cookie: "18446744073709551615",
        processes: [
          { pid: 1, name: 'é "quoted" \\ 𝄞 \u0007', fd: 3 },
          { pid: 2, name: "", fd: 0 },
        ],
      }),
    ];
    const text = await written(connections);
    assert.deepEqual(JSON.parse(text), connections);
    assert.equal(text.split("\n").length, connections.length + 3);
    // oxlint-disable-next-line no-control-regex -- ASCII begins with NUL
    assert.match(text, /^[\u0000-\u007F]*$/);
  });

  test("a cookie may come as a number", async () => {
    const text = await written([{ ...madeConnection(), cookie: 2 ** 53 - 1 }]);
    assert.deepEqual(JSON.parse(text), [madeConnection({ cookie: "9007199254740991" })]);
  });

  test("names come in the order of the design", async () => {
    const [element] = JSON.parse(await written([madeConnection()])) as [Connection];
    assert.deepEqual(Object.keys(element), Object.keys(madeConnection()));
  });

  test("many more than a buffer holds arrive whole, and a slow reader is waited for", async () => {
    const many = Array.from({ length: 20_000 }, (_, index) =>
      madeConnection({ cookie: String(index), inode: index }),
    );
    const reader = new SlowReader();
    await writeJson(many, reader);
    await new Promise<void>((resolve) => reader.end(resolve));
    assert.deepEqual(JSON.parse(reader.text), many);
    assert(reader.most < 2 * 2 ** 20, `${reader.most} bytes waited in memory`);
  });
});

describe("the writer", () => {
  test("whole numbers and text come back as they were", () => {
    const number = fc.oneof(fc.maxSafeNat(), fc.nat(), fc.nat({ max: 11 }), fc.constant(null));
    fc.assert(
      fc.property(fc.array(fc.tuple(number, fc.string({ unit: "binary" }))), (values) => {
        const writer = new AsciiWriter(16).text("[0");
        for (const [value, text] of values)
          writer
            .text(",")
            .number(value)
            .text(`,${JSON.stringify(text)}`);
        const bytes = writer.text("]").written;
        assert.deepEqual(JSON.parse(Buffer.from(bytes).toString("latin1")), [0, ...values.flat()]);
      }),
    );
  });

  test("grows for a text longer than its room", () => {
    const long = "é".repeat(100_000);
    const bytes = new AsciiWriter(16).text(JSON.stringify(long)).written;
    assert.equal(JSON.parse(Buffer.from(bytes).toString("latin1")), long);
  });
});
