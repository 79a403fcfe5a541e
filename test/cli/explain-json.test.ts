import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { explainCapture, type FlowReport } from "../../src/capture/index.js";
import { AsciiWriter } from "../../src/cli/ascii-writer.js";
import { writeJson } from "../../src/cli/explain/json.js";
import { talk } from "../capture/talk.js";
import { pcapFile } from "../capture/wire.js";
import { threeFates } from "./explain-captures.js";

const everything = { all: false, firstFrame: null, port: null };

/** Takes its time, and notes how much had to wait for it. */
class SlowReader extends Writable {
  readonly #chunks: Buffer[] = [];
  most = 0;

  constructor() {
    super({ highWaterMark: 1_024 });
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#chunks.push(Buffer.from(chunk));
    this.most = Math.max(this.most, this.writableLength);
    setImmediate(done);
  }

  get text(): string {
    return Buffer.concat(this.#chunks).toString("utf8");
  }
}

async function written(capture: Uint8Array): Promise<SlowReader> {
  const reader = new SlowReader();
  await writeJson({ chunks: oneByOne(capture) }, everything, reader);
  await new Promise<void>((resolve) => reader.end(resolve));
  return reader;
}

async function* oneByOne(capture: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < capture.length; at += 4_096) yield capture.subarray(at, at + 4_096);
}

/** As JSON.stringify writes the same explanation, a flow a line. */
async function stringified(capture: Uint8Array): Promise<string> {
  const lines: string[] = [];
  const onFlow = (flow: FlowReport): void => void lines.push(`\n${JSON.stringify(flow)}`);
  const { flows: _told, ...counts } = await explainCapture(capture, { onFlow });
  return `{"flows":[${lines.join(",")}\n],${JSON.stringify(counts).slice(1)}\n`;
}

function same(value: number): void {
  const { written: bytes } = new AsciiWriter(64).decimal(value);
  assert.equal(Buffer.from(bytes).toString("latin1"), JSON.stringify(value));
}

describe("explain --json, written field by field, is what JSON.stringify writes", () => {
  for (const seed of [1, 2, 3])
    test(`random connections, seed ${seed}`, async () => {
      const capture = pcapFile(talk(seed, 300));
      assert.equal((await written(capture)).text, await stringified(capture));
    });

  test("three fates", async () => {
    const capture = threeFates();
    assert.equal((await written(capture)).text, await stringified(capture));
  });

  test("numbers", () => {
    fc.assert(fc.property(fc.double(), same));
    fc.assert(fc.property(fc.maxSafeInteger(), same));
    fc.assert(fc.property(fc.nat({ max: Number.MAX_SAFE_INTEGER }), (millionths) => same(millionths / 1e6)));
    for (const value of [0, -0, 1e-6, 1e-7, 0.1, 999_999_999.999999, 1_000_000_000, 1e15, 1e21]) same(value);
  });
});

test("a slow reader holds the analysis up: little waits for it", async () => {
  const { most, text } = await written(pcapFile(talk(4, 2_000)));
  assert.ok(text.length > 1_000_000);
  assert.ok(most < 300_000, `${most} bytes waited`);
});
