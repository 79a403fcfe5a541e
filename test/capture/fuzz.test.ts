import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import * as fc from "fast-check";
import { type Explanation, explainCapture } from "../../src/capture/index.js";
import { DeadpeerError } from "../../src/errors.js";
import { checkout } from "../support/checkout.js";
import { talk } from "./talk.js";
import { Blocks, pcapFile } from "./wire.js";

const publicCaptures = `${checkout}../shared/captures/`;

/** Captures to damage: of both formats, and real ones where they are. */
function seeds(): Buffer[] {
  const packets = talk(7, 20);
  const ng = new Blocks(true).interface();
  for (const { us, bytes } of packets) ng.packet(0, us, bytes);
  const real = existsSync(publicCaptures)
    ? readdirSync(publicCaptures)
        .filter((name) => /\.pcap(ng)?$/.test(name))
        .map((name) => readFileSync(publicCaptures + name).subarray(0, 50_000))
    : [];
  return [pcapFile(packets), pcapFile(packets, { bigEndian: true }), ng.toBuffer(), ...real];
}

/** A capture is explained, or refused as one: nothing else may come of any bytes. */
async function explainOrRefuse(bytes: Buffer): Promise<Explanation | null> {
  try {
    return await explainCapture(bytes);
  } catch (error) {
    assert.ok(error instanceof DeadpeerError, String(error));
    assert.equal(error.code, "bad-capture");
    return null;
  }
}

function assertSane({ packets, skipped, flows }: Explanation): void {
  assert.ok(skipped <= packets);
  for (const { frames, events, verdict, inferred } of flows) {
    assert.ok(frames >= 1 && frames <= packets);
    for (const { frame, timeMs } of events) {
      assert.ok(frame >= 1 && frame <= packets);
      assert.ok(Number.isFinite(timeMs));
    }
    if (verdict !== null) assert.ok(Number.isFinite(verdict.at) && verdict.proof.frames.length > 0);
    for (const { idleMs, intervalMs } of inferred.keepalive)
      assert.ok(![idleMs, intervalMs].some((ms) => Number.isNaN(ms)));
  }
}

const damage = fc.array(
  fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), byte: fc.integer({ min: 0, max: 255 }) }),
  { minLength: 1, maxLength: 30 },
);

describe("damaged captures end in an account or in a refusal", () => {
  for (const [index, seed] of seeds().entries())
    test(`capture ${index + 1}`, async () => {
      await fc.assert(
        fc.asyncProperty(damage, async (changes) => {
          const bytes = Buffer.from(seed);
          for (const { at, byte } of changes) bytes[Math.floor(at * (bytes.length - 1))] = byte;
          const account = await explainOrRefuse(bytes);
          if (account !== null) assertSane(account);
        }),
        { numRuns: 150 },
      );
    });

  test("compressed", async () => {
    const [seed = Buffer.alloc(0)] = seeds();
    const compressed = gzipSync(seed);
    await fc.assert(
      fc.asyncProperty(damage, async (changes) => {
        const bytes = Buffer.from(compressed);
        for (const { at, byte } of changes) bytes[2 + Math.floor(at * (bytes.length - 3))] = byte;
        const account = await explainOrRefuse(bytes);
        if (account !== null) assertSane(account);
      }),
      { numRuns: 150 },
    );
  });

  test("random bytes behind a capture's header", async () => {
    const heads = [pcapFile([]), pcapFile([], { linkType: 1 }), new Blocks(false).interface().toBuffer()];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...heads),
        fc.uint8Array({ maxLength: 2_000 }),
        async (head, bytes) => {
          const account = await explainOrRefuse(Buffer.concat([head, bytes]));
          if (account !== null) assertSane(account);
        },
      ),
      { numRuns: 500 },
    );
  });

  test("packets of random bytes on every link", async () => {
    const links = fc.constantFrom(0, 1, 12, 101, 108, 113, 228, 229, 276, 77);
    const packet = fc.uint8Array({ maxLength: 120 });
    await fc.assert(
      fc.asyncProperty(links, fc.array(packet, { maxLength: 20 }), async (linkType, packets) => {
        const file = pcapFile(
          packets.map((bytes, index) => ({ us: BigInt(index), bytes: Buffer.from(bytes) })),
          { linkType },
        );
        const account = await explainCapture(file);
        assert.equal(account.packets, packets.length);
        assertSane(account);
      }),
      { numRuns: 1_000 },
    );
  });

  test("a length that promises more than there is takes no memory", async () => {
    const file = pcapFile([]);
    const record = Buffer.alloc(16);
    record.writeUInt32LE(16 * 1024 * 1024, 8);
    const before = process.memoryUsage().arrayBuffers;
    const { problems } = await explainCapture(Buffer.concat([file, record]));
    assert.equal(problems[0]?.code, "truncated");
    assert.ok(process.memoryUsage().arrayBuffers - before < 1024 * 1024);
  });
});
