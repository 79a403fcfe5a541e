import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { DeadpeerError } from "../../../src/errors.js";
import { type PageLayout, parsePageLayout, walkPage } from "../../../src/kernel/trace/ring-page.js";

const headerPage = `	field: u64 timestamp;	offset:0;	size:8;	signed:0;
	field: local_t commit;	offset:8;	size:8;	signed:1;
	field: int overwrite;	offset:8;	size:1;	signed:1;
	field: char data;	offset:16;	size:4080;	signed:0;
`;
const headerEvent = `# compressed entry header
	type_len    :    5 bits
	time_delta  :   27 bits
	array       :   32 bits

	padding     : type == 29
	time_extend : type == 30
	time_stamp : type == 31
	data max type_len  == 28
`;
const layout: PageLayout = { timestamp: 0, commit: 8, data: 16, bytes: 4096 };

const head = (type: number, delta: number): number => type + delta * 32;

/** A page with these words behind its header, and behind them what is no part of it. */
function page(words: readonly number[], commit = 0, timeNs = 1_000n): Buffer {
  const bytes = Buffer.alloc(4096, 0xee);
  bytes.writeBigUInt64LE(timeNs, 0);
  bytes.writeUInt32LE((words.length * 4 + commit) >>> 0, 8);
  for (const [index, word] of words.entries()) bytes.writeUInt32LE(word >>> 0, 16 + index * 4);
  return bytes;
}

interface Walked {
  readonly records: readonly (readonly [timeNs: number, bytes: number])[];
  readonly lost: number;
}

function walk(bytes: Buffer, length = bytes.length): Walked {
  const records: [number, number][] = [];
  const lost = walkPage(bytes, length, layout, (timeNs, at, end) => records.push([timeNs, end - at]));
  return { records, lost };
}

describe("a page of the trace buffer", () => {
  test("is laid out as the kernel says", () => {
    assert.deepEqual(parsePageLayout(headerPage, headerEvent), layout);
    // 64 KiB pages.
    assert.equal(parsePageLayout(headerPage.replace("4080", "65520"), headerEvent).bytes, 65_536);
    for (const [pageText, event] of [
      ["", headerEvent],
      [headerPage, headerEvent.replace("27 bits", "28 bits")],
      [headerPage, headerEvent.replace("type == 29", "type == 30")],
      [headerPage.replace("commit", "commits"), headerEvent],
    ] as const)
      assert.throws(
        () => parsePageLayout(pageText, event),
        (error) => error instanceof DeadpeerError && error.code === "feature-missing",
      );
  });

  test("holds records of words, each some time after the one before", () => {
    assert.deepEqual(walk(page([head(2, 5), 1, 2, head(1, 7), 3])), {
      records: [
        [1_005, 8],
        [1_012, 4],
      ],
      lost: 0,
    });
  });

  test("holds longer records, whose first word is their length with itself", () => {
    const long = [head(0, 3), 132, ...Array.from({ length: 32 }, () => 9)];
    assert.deepEqual(walk(page([...long, head(1, 1), 3])).records, [
      [1_003, 128],
      [1_004, 4],
    ]);
  });

  test("tells longer times by records of their own: as a difference, and absolutely", () => {
    assert.deepEqual(walk(page([head(30, 1), 2, head(1, 4), 3])).records, [[1_000 + 2 ** 28 + 1 + 4, 4]]);
    assert.deepEqual(walk(page([head(31, 6), 5, head(1, 0), 3])).records, [[5 * 2 ** 27 + 6, 4]]);
  });

  test("passes over what was thrown away, and ends at padding without a time", () => {
    assert.deepEqual(walk(page([head(29, 100), 8, 0, head(1, 2), 3])).records, [[1_002, 4]]);
    assert.deepEqual(walk(page([head(1, 2), 3, head(29, 0), 0, head(1, 2), 3])).records, [[1_002, 4]]);
  });

  test("says whether records are missing before it, and how many", () => {
    assert.equal(walk(page([head(1, 1), 3], 0x8000_0000)).lost, -1);
    const counted = page([head(1, 1), 3], 0xc000_0000);
    counted.writeUInt32LE(42, 24);
    assert.equal(walk(counted).lost, 42);
  });

  test("that contradicts itself is refused", () => {
    for (const [bytes, length] of [
      [page([]), 10],
      [page([head(1, 1), 3]), 20],
      [page([head(0, 1)]), 4096],
      [page([head(0, 1), 400, 3]), 4096],
      [page([head(9, 1), 3]), 4096],
    ] as const)
      assert.throws(
        () => walk(bytes, length),
        (error) => error instanceof DeadpeerError && error.code === "feature-missing",
      );
  });

  test("of garbage ends, and shows nothing beyond itself", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(300), (garbage, commit) => {
        const bytes = Buffer.concat([garbage, Buffer.alloc(32)]);
        bytes.writeUInt32LE(commit, 8);
        try {
          walkPage(bytes, garbage.length, layout, (timeNs, at, end) => {
            assert.ok(Number.isFinite(timeNs));
            assert.ok(at >= 16 && at <= end && end <= garbage.length);
          });
        } catch (error) {
          assert.ok(error instanceof DeadpeerError);
        }
      }),
    );
  });
});
