import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import * as fc from "fast-check";
import { type CaptureSource, type Explanation, explainCapture } from "../../src/capture/index.js";
import { DeadpeerError } from "../../src/errors.js";
import { Blocks, numbers, type Packet, pcapFile, plainPackets } from "./wire.js";

const plain = pcapFile(plainPackets);
const expected = await explainCapture(plain);

function ngFile(bigEndian: boolean, write: (blocks: Blocks) => unknown): Buffer {
  const blocks = new Blocks(bigEndian);
  write(blocks);
  return blocks.toBuffer();
}

function addAll(blocks: Blocks, ticks: (packet: Packet) => bigint, packets = plainPackets): Blocks {
  for (const packet of packets) blocks.packet(0, ticks(packet), packet.bytes);
  return blocks;
}

const us = (packet: Packet): bigint => packet.us;

/** Frames and kinds alone, for formats without times. */
function kinds({ flows }: Explanation): unknown {
  return flows.map(({ a, b, events }) => ({ a, b, events: events.map(({ frame, kind }) => [frame, kind]) }));
}

test("the account that all formats are held to has something in it", () => {
  assert.equal(expected.flows.length, 2);
  assert.deepEqual(
    expected.flows.map(({ verdict }) => verdict?.state),
    ["silent", "closed"],
  );
  assert.equal(expected.startedAt, Number(plainPackets[0]?.us ?? 0n) / 1_000);
});

describe("every format gives the same account", () => {
  for (const bigEndian of [false, true]) {
    const order = bigEndian ? "big-endian" : "little-endian";
    for (const nanoseconds of [false, true])
      test(`pcap, ${order}, ${nanoseconds ? "nanoseconds" : "microseconds"}`, async () => {
        assert.deepEqual(await explainCapture(pcapFile(plainPackets, { bigEndian, nanoseconds })), expected);
      });
    test(`pcapng, ${order}`, async () => {
      const file = ngFile(bigEndian, (blocks) => addAll(blocks.interface(), us));
      assert.deepEqual(await explainCapture(file), expected);
    });
    test(`pcapng, ${order}: nanoseconds by if_tsresol, and seconds apart by if_tsoffset`, async () => {
      const offset = 1_000_000n;
      const file = ngFile(bigEndian, (blocks) => {
        const seconds = blocks.option(14, blocks.numbers.u64(offset));
        const comment = blocks.option(1, Buffer.from("a comment of odd length"));
        blocks.interface(
          101,
          comment,
          blocks.option(9, Buffer.of(9)),
          seconds,
          blocks.option(0, Buffer.of()),
        );
        addAll(blocks, (packet) => packet.us * 1_000n - offset * 1_000_000_000n);
      });
      assert.deepEqual(await explainCapture(file), expected);
    });
  }

  test("pcapng with ticks of a power of two", async () => {
    const file = ngFile(false, (blocks) => {
      blocks.interface(101, blocks.option(9, Buffer.of(0x80 | 30)));
      addAll(blocks, (packet) => (packet.us << 30n) / 1_000_000n);
    });
    const { flows } = await explainCapture(file);
    assert.deepEqual(kinds({ ...expected, flows }), kinds(expected));
    for (const [index, { events }] of flows.entries())
      for (const [which, { timeMs }] of events.entries())
        assert.ok(Math.abs(timeMs - (expected.flows[index]?.events[which]?.timeMs ?? 0)) < 1e-5);
  });

  test("pcapng with two interfaces that count time differently", async () => {
    const file = ngFile(false, (blocks) => {
      blocks.interface(1, blocks.option(9, Buffer.of(3))).interface(101);
      for (const { us: at, bytes } of plainPackets) blocks.packet(1, at, bytes);
    });
    assert.deepEqual(await explainCapture(file), expected);
  });

  test("pcapng in sections of either byte order, with interfaces of their own", async () => {
    const half = Math.floor(plainPackets.length / 2);
    const file = Buffer.concat([
      ngFile(true, (blocks) => addAll(blocks.interface(), us, plainPackets.slice(0, half))),
      ngFile(false, (blocks) => addAll(blocks.interface(), us, plainPackets.slice(half))),
    ]);
    assert.deepEqual(await explainCapture(file), expected);
  });

  test("pcapng with unknown blocks, statistics and obsolete packet blocks", async () => {
    const file = ngFile(false, (blocks) => {
      blocks.block(0x0bad, Buffer.alloc(13, 0xaa)).interface();
      for (const { us: at, bytes } of plainPackets)
        blocks.packet(0, at, bytes, "obsolete").block(5, Buffer.alloc(12)).block(0x4000_0001);
    });
    assert.deepEqual(await explainCapture(file), expected);
  });

  test("pcapng's simple packets have no times, but all else", async () => {
    const file = ngFile(true, (blocks) => {
      blocks.interface();
      for (const { bytes } of plainPackets) blocks.simplePacket(bytes);
    });
    const account = await explainCapture(file);
    assert.equal(account.durationMs, 0);
    assert.deepEqual(
      account.flows.map(({ frames }) => frames),
      expected.flows.map(({ frames }) => frames),
    );
  });

  test("gzip-compressed, in one member or several", async () => {
    assert.deepEqual(await explainCapture(gzipSync(plain)), expected);
    const members = [plain.subarray(0, 100), plain.subarray(100)].map((part) => gzipSync(part));
    assert.deepEqual(await explainCapture(Buffer.concat(members)), expected);
  });
});

describe("pieces", () => {
  const ng = ngFile(false, (blocks) => addAll(blocks.interface(), us));
  const files: readonly (readonly [string, Buffer])[] = [
    ["pcap", plain],
    ["pcapng", ng],
    ["gzip", gzipSync(plain)],
  ];
  for (const [name, file] of files)
    test(`${name}: however the input is cut up, the account is the same`, async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1 }), async (sizes) => {
          assert.deepEqual(await explainCapture(cut(file, sizes)), expected);
        }),
        { numRuns: 40 },
      );
    });

  test("one buffer used again for every piece", async () => {
    assert.deepEqual(await explainCapture(reused()), expected);
  });

  test("flows are told one by one if somebody listens", async () => {
    const states: unknown[] = [];
    const { flows } = await explainCapture(plain, { onFlow: ({ verdict }) => states.push(verdict?.state) });
    assert.deepEqual(flows, []);
    assert.deepEqual(new Set(states), new Set(["closed", "silent"]));
  });
});

async function* reused(): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.alloc(101);
  for (let at = 0; at < plain.length; at += buffer.length) {
    const length = plain.copy(buffer, 0, at, at + buffer.length);
    yield buffer.subarray(0, length);
    buffer.fill(0xff);
  }
}

function* cut(file: Buffer, sizes: readonly number[]): Generator<Uint8Array> {
  for (let at = 0, turn = 0; at < file.length; turn++) {
    const size = sizes[turn % sizes.length] as number;
    yield file.subarray(at, at + size);
    at += size;
  }
}

describe("cut off at any byte, what was whole is used, and the answer says so", () => {
  const ng = ngFile(true, (blocks) => addAll(blocks.interface(), us));
  for (const [name, file, whole] of [
    ["pcap", plain, wholeLengths(plain)],
    ["pcapng", ng, new Set(ngLengths(ng))],
  ] as const)
    test(name, async () => {
      let before = 0;
      for (let length = 0; length < file.length; length++) {
        const { packets, problems } = await explainCapture(file.subarray(0, length));
        assert.ok(packets >= before, `${length} bytes`);
        before = packets;
        assert.deepEqual(
          problems.map(({ code }) => code),
          whole.has(length) ? [] : ["truncated"],
          `${length} bytes`,
        );
      }
    });

  test("gzip", async () => {
    const file = gzipSync(plain);
    for (let length = 2; length < file.length; length++) {
      const { problems } = await explainCapture(file.subarray(0, length));
      assert.equal(problems[0]?.code, "truncated", `${length} bytes`);
    }
  });
});

/** Lengths at which a pcap file may end. */
function wholeLengths(file: Buffer): ReadonlySet<number> {
  const lengths = new Set([24]);
  for (let at = 24; at < file.length; ) {
    at += 16 + file.readUInt32LE(at + 8);
    lengths.add(at);
  }
  return lengths;
}

function* ngLengths(file: Buffer): Generator<number> {
  for (let at = 0; at < file.length; ) {
    at += file.readUInt32BE(at + 4);
    yield at;
  }
}

describe("what is no capture is refused, with the byte and what was expected", () => {
  const { u32 } = numbers(false);
  const ngHeader = new Blocks(false).toBuffer();
  const cases: readonly (readonly [string, Buffer, RegExp])[] = [
    ["text", Buffer.from("# no capture\n"), /^at byte 0: 23206e6f begins no capture file; expected pcap/],
    ["one wrong byte", Buffer.of(0x7f), /^at byte 0: 7f begins no capture file/],
    ["compressed text", gzipSync("# no capture\n"), /^at byte 0: 23206e6f begins no capture file/],
    ["pcap of version 9", patched(plain, 4, Buffer.of(9)), /^at byte 4 .* version 9; expected version 2/],
    [
      "an absurd packet",
      patched(plain, 32, u32(0x7fff_ffff)),
      /^at byte 32 .* 2147483647 bytes; expected at most/,
    ],
    [
      "a block too short",
      Buffer.concat([ngHeader, u32(5), u32(8), u32(8)]),
      /^at byte 32 .* a block of 8 bytes/,
    ],
    [
      "a block too long",
      Buffer.concat([ngHeader, u32(5), u32(2 ** 31), u32(8)]),
      /^at byte 32 .* 2147483648/,
    ],
    ["no byte-order magic", patched(ngHeader, 8, u32(7)), /^at byte 8 .* no byte-order magic/],
    ["two lengths", patched(ngHeader, 24, u32(32)), /^at byte 24 .* closing length of 32; expected 28/],
    [
      "an interface never described",
      new Blocks(false).packet(3, 0n, Buffer.alloc(4)).toBuffer(),
      /^at byte 28 .* a packet of interface 3; expected one of the 0 interfaces/,
    ],
    [
      "a packet larger than its block",
      new Blocks(false).interface().block(6, Buffer.alloc(12), u32(99), u32(99)).toBuffer(),
      /^at byte 68 .* 99 bytes of a packet in a block of 32/,
    ],
  ];
  for (const [name, file, message] of cases)
    test(name, async () => {
      await assert.rejects(explainCapture(file), (error) => {
        assert.ok(error instanceof DeadpeerError);
        assert.equal(error.code, "bad-capture");
        assert.match(error.message, message);
        return true;
      });
    });

  test("damage behind the first packet is a problem, and what came before it is used", async () => {
    const second = 24 + 16 + (plainPackets[0]?.bytes.length ?? 0);
    const { packets, problems } = await explainCapture(patched(plain, second + 8, u32(0xffff_fff0)));
    assert.equal(packets, 1);
    assert.deepEqual(
      problems.map(({ code }) => code),
      ["damaged"],
    );
  });

  test("compressed data that is damaged", async () => {
    const file = gzipSync(plain);
    file.fill(0x55, 30, 60);
    await assert.rejects(explainCapture(file), {
      code: "bad-capture",
      message: /compressed capture is damaged/,
    });
  });

  test("zeros behind compressed data are padding, in the same piece or in later ones", async () => {
    const padded = Buffer.concat([gzipSync(plain), Buffer.alloc(5_000)]);
    assert.deepEqual(await explainCapture(padded), expected);
    assert.deepEqual(await explainCapture(cut(padded, [1_000])), expected);
  });

  test("the error of a source stays what it was", async () => {
    const source: CaptureSource = failing();
    await assert.rejects(explainCapture(source), { name: "RangeError", message: "the disk is gone" });
  });
});

async function* failing(): AsyncGenerator<Uint8Array> {
  yield plain.subarray(0, 30);
  throw new RangeError("the disk is gone");
}

function patched(file: Buffer, at: number, bytes: Buffer): Buffer {
  const copy = Buffer.from(file);
  bytes.copy(copy, at);
  return copy;
}
