import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import {
  decodeTcpInfo,
  readTcpInfo,
  type TcpInfo,
  tcpInfoLayout,
  viewTcpInfo,
} from "../../src/kernel/tcp-info.js";
import { fdOf, loopbackConnection, run } from "./support.js";

const fields = Object.entries(tcpInfoLayout) as [keyof TcpInfo, (typeof tcpInfoLayout)["state"]][];
/** Linux before 4.1. */
const oldest = 104;

function sizeOf(field: keyof TcpInfo): number {
  // What the reader of a field needs to answer at all.
  const [, , read] = tcpInfoLayout[field];
  const bytes = Buffer.alloc(8);
  return [1, 2, 4, 8].find((size) => read(bytes, 0, size) !== null) ?? Number.NaN;
}

/** A structure in which every field has a value of its own. */
function filled(value: (field: keyof TcpInfo, size: number) => bigint): Buffer {
  const bytes = Buffer.alloc(280);
  for (const [field, [, offset]] of fields) {
    const size = sizeOf(field);
    let rest = value(field, size);
    for (let i = 0; i < size; i++) {
      bytes[offset + i] = Number(rest & 0xffn);
      rest >>= 8n;
    }
  }
  return bytes;
}

describe("the layout", () => {
  test("is the one that the C compiler sees in the kernel's headers", (context) => {
    if (spawnSync("gcc", ["--version"]).status !== 0) {
      context.skip("needs gcc");
      return;
    }
    let compared = 0;
    for (const [field, [name, offset]] of fields) {
      const program = `#include <linux/tcp.h>
_Static_assert(__builtin_offsetof(struct tcp_info, ${name}) == ${offset}, "offset");
_Static_assert(sizeof(((struct tcp_info *)0)->${name}) == ${sizeOf(field)}, "size");`;
      const { status, stderr } = spawnSync("gcc", ["-x", "c", "-fsyntax-only", "-"], {
        input: program,
        encoding: "utf8",
      });
      // The headers of an older kernel lack the newest fields.
      if (/has no member/.test(stderr)) {
        assert.ok(offset >= 228, `${name} is in every header since Linux 5.4`);
        continue;
      }
      assert.equal(status, 0, `${name}: ${stderr}`);
      compared++;
    }
    assert.ok(compared >= 24, `only ${compared} fields could be compared`);
  });
});

describe("decoding", () => {
  test("zeros", () => {
    const info = decodeTcpInfo(Buffer.alloc(280));
    for (const [field] of fields) assert.equal(info[field], field === "state" ? "UNKNOWN" : 0, field);
  });

  test("every field from its own bytes", () => {
    const values = new Map(fields.map(([field], index) => [field, 0x11 + index]));
    values.set("state", 10);
    const info = decodeTcpInfo(filled((field) => BigInt(values.get(field) ?? 0)));
    for (const [field, value] of values)
      assert.equal(info[field], field === "state" ? "LISTEN" : value, field);
  });

  test("the largest values; 64 bits as the nearest number", () => {
    const info = decodeTcpInfo(filled((_, size) => (1n << BigInt(8 * size)) - 1n));
    assert.equal(info.retransmits, 255);
    assert.equal(info.lastAckRecvMs, 4_294_967_295);
    assert.equal(info.bytesSent, 2 ** 64);
    assert.equal(info.totalRto, 65_535);
    assert.equal(info.state, "UNKNOWN");
  });

  test("a smallest round trip of all ones: none was measured", () => {
    const info = decodeTcpInfo(filled((field) => (field === "minRttUs" ? 0xffff_ffffn : 7n)));
    assert.equal(info.minRttUs, null);
    assert.equal(info.rttUs, 7);
  });

  test("exact bytes", () => {
    const bytes = Buffer.alloc(280);
    bytes[0] = 1;
    bytes.writeUInt32LE(201_000, 8);
    bytes.writeBigUInt64LE(5_000_000_000n, 200);
    const info = decodeTcpInfo(bytes);
    assert.equal(info.state, "ESTABLISHED");
    assert.equal(info.rtoUs, 201_000);
    assert.equal(info.bytesSent, 5_000_000_000);
  });

  for (const length of [104, 144, 160, 192, 216, 224, 232, 240, 248, 280])
    test(`${length} bytes, as some kernel gives: null exactly where a field is not whole`, () => {
      const info = decodeTcpInfo(
        filled(() => 3n),
        0,
        length,
      );
      for (const [field, [, offset]] of fields)
        assert.equal(info[field] === null, offset + sizeOf(field) > length, field);
    });

  test("any bytes, offset and length: never a throw, never what lies beyond the end", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 400 }),
        fc.nat(420),
        fc.option(fc.nat(420)),
        (array, offset, length) => {
          const bytes = Buffer.from(array);
          const info = length === null ? decodeTcpInfo(bytes, offset) : decodeTcpInfo(bytes, offset, length);
          const end = Math.max(offset, Math.min(bytes.length, offset + (length ?? bytes.length)));
          // The same bytes alone in a buffer of their own say the same.
          assert.deepEqual(info, decodeTcpInfo(Buffer.from(bytes.subarray(offset, end))));
          for (const [field, [, at]] of fields) {
            const there = offset + at + sizeOf(field) <= end;
            if (!there)
              assert.equal(info[field], at >= oldest ? null : field === "state" ? "UNKNOWN" : 0, field);
            else if (field !== "minRttUs") assert.notEqual(info[field], null, field);
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test("a view says the same as the whole, also to JSON", () => {
    const bytes = filled((_, size) => BigInt(size * 9));
    const view = viewTcpInfo(bytes, 0, 240);
    const whole = decodeTcpInfo(bytes, 0, 240);
    for (const [field] of fields) assert.equal(view[field], whole[field], field);
    assert.deepEqual(JSON.parse(JSON.stringify(view)), whole);
  });
});

test("a live connection, as ss shows it", { timeout: 20_000 }, async () => {
  await using connection = await loopbackConnection();
  const acceptedFd = fdOf(connection.accepted);
  connection.client.write(Buffer.alloc(5_000));
  connection.accepted.write(Buffer.alloc(3_000));
  connection.client.resume();
  connection.accepted.resume();
  // Until nothing is on its way any more, ACKs included: what ss shows must still hold a moment later.
  const settled = (): boolean => {
    const { bytesAcked, bytesReceived } = readTcpInfo(connection.clientFd);
    return bytesAcked === 5_001 && bytesReceived === 3_000 && readTcpInfo(acceptedFd).unacked === 0;
  };
  while (!settled()) await new Promise(setImmediate);
  const shown = run("ss", ["-tinHO", "sport", "=", `:${connection.port}`]);
  const info = readTcpInfo(connection.clientFd);
  const number = (pattern: RegExp): number | undefined => {
    const found = pattern.exec(shown)?.[1];
    return found === undefined ? undefined : Number(found);
  };
  assert.equal(info.state, "ESTABLISHED");
  assert.equal(info.rtoUs / 1_000, number(/\brto:([\d.]+)/));
  assert.equal(info.rttUs / 1_000, number(/\brtt:([\d.]+)\//));
  assert.equal(info.rttVarUs / 1_000, number(/\brtt:[\d.]+\/([\d.]+)/));
  assert.equal((info.minRttUs ?? 0) / 1_000, number(/\bminrtt:([\d.]+)/));
  assert.equal(info.pathMtu, number(/\bpmtu:(\d+)/));
  assert.equal(info.bytesSent, number(/\bbytes_sent:(\d+)/));
  assert.equal(info.bytesAcked, number(/\bbytes_acked:(\d+)/));
  assert.equal(info.bytesReceived, number(/\bbytes_received:(\d+)/));
  assert.equal(info.segmentsOut, number(/\bsegs_out:(\d+)/));
  assert.equal(info.segmentsIn, number(/\bsegs_in:(\d+)/));
  assert.equal(info.sndWnd, number(/\bsnd_wnd:(\d+)/) ?? info.sndWnd);
  assert.equal(info.unacked, number(/\bunacked:(\d+)/) ?? 0);
  assert.equal(info.notsentBytes, number(/\bnotsent:(\d+)/) ?? 0);
  // ss looked a moment earlier; the kernel counts in jiffies of up to 10 ms. ss leaves out a 0.
  for (const [ms, pattern] of [
    [info.lastDataSentMs, /\blastsnd:(\d+)/],
    [info.lastDataRecvMs, /\blastrcv:(\d+)/],
    [info.lastAckRecvMs, /\blastack:(\d+)/],
  ] as const) {
    const later = ms - (number(pattern) ?? 0);
    assert.ok(later >= 0 && later < 10_000, `${pattern}: ${later} ms apart`);
  }
});
