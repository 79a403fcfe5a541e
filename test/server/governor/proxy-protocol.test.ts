import assert from "node:assert/strict";
import { isIP } from "node:net";
import { describe, test } from "node:test";
import { assert as check, constantFrom, oneof, property, string, tuple, uint8Array } from "fast-check";
import { crc32c } from "../../../src/server/governor/crc32c.js";
import { type ProxyReading, readProxyHeader } from "../../../src/server/governor/proxy-protocol.js";

const signature = Buffer.from("0d0a0d0a000d0a515549540a", "hex");

/** A header of version 2. */
function v2(command: number, family: number, body: Uint8Array, length = body.length): Buffer {
  const fixed = Buffer.from([0x20 | command, family, length >> 8, length & 0xff]);
  return Buffer.concat([signature, fixed, body]);
}

const four = Buffer.from("c0000201c6336402138801bb", "hex");
const six = Buffer.from(`20010db8${"0".repeat(23)}120010db8${"0".repeat(23)}2138801bb`, "hex");
const tlv = (type: number, value: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from([type, value.length >> 8, value.length & 0xff]), value]);

function headerOf(reading: ProxyReading) {
  assert.equal(reading.state, "header", JSON.stringify(reading));
  return reading;
}

function problemOf(text: string | Uint8Array): string {
  const reading = readProxyHeader(Buffer.from(text as string));
  assert.equal(reading.state, "malformed", JSON.stringify(reading));
  return reading.problem;
}

describe("PROXY version 1", () => {
  test("names both ends", () => {
    const line = "PROXY TCP4 192.0.2.1 198.51.100.2 5000 443\r\n";
    const { header, length } = headerOf(readProxyHeader(Buffer.from(`${line}GET / HTTP/1.1\r\n`)));
    assert.equal(length, line.length);
    assert.deepEqual(header.source, { address: "192.0.2.1", port: 5_000 });
    assert.deepEqual(header.destination, { address: "198.51.100.2", port: 443 });
    const over6 = headerOf(readProxyHeader(Buffer.from("PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n")));
    assert.deepEqual(over6.header.source, { address: "2001:db8::1", port: 1 });
  });

  test("may name nobody", () => {
    assert.equal(headerOf(readProxyHeader(Buffer.from("PROXY UNKNOWN\r\n"))).header.source, null);
    const much = "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n";
    assert.equal(headerOf(readProxyHeader(Buffer.from(much))).length, much.length);
  });

  test("is refused where it is not what it should be", () => {
    assert.match(problemOf("PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n"), /neither/);
    assert.match(problemOf("PROXY TCP4 2001:db8::1 1.2.3.4 1 2\r\n"), /no address of TCP4/);
    assert.match(problemOf("PROXY TCP6 fe80::1%eth0 2001:db8::1 1 2\r\n"), /no address of TCP6/);
    assert.match(problemOf("PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n"), /not two addresses/);
    assert.match(problemOf("PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n"), /no port/);
    assert.match(problemOf("PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n"), /no port/);
    assert.match(problemOf(`PROXY UNKNOWN ${"x".repeat(200)}`), /within 107 bytes/);
  });
});

describe("PROXY version 2", () => {
  test("names both ends, and says more", () => {
    const reading = headerOf(
      readProxyHeader(v2(1, 0x11, Buffer.concat([four, tlv(2, Buffer.from("a.example"))]))),
    );
    assert.deepEqual(reading.header.source, { address: "192.0.2.1", port: 5_000 });
    assert.deepEqual(
      reading.header.tlvs.map(({ type, value }) => [type, Buffer.from(value).toString()]),
      [[2, "a.example"]],
    );
    assert.deepEqual(headerOf(readProxyHeader(v2(1, 0x21, six))).header.source, {
      address: "2001:db8::1",
      port: 5_000,
    });
  });

  test("may speak for the proxy itself, or for a Unix socket", () => {
    assert.equal(headerOf(readProxyHeader(v2(0, 0x00, Buffer.alloc(0)))).header.source, null);
    assert.equal(headerOf(readProxyHeader(v2(0, 0x11, four))).header.source, null);
    assert.equal(headerOf(readProxyHeader(v2(1, 0x31, Buffer.alloc(216)))).header.source, null);
  });

  test("has a checksum that holds, or is refused", () => {
    const empty = v2(1, 0x11, Buffer.concat([four, tlv(3, Buffer.alloc(4))]));
    const sum = Buffer.alloc(4);
    sum.writeUInt32BE(crc32c(empty));
    const right = v2(1, 0x11, Buffer.concat([four, tlv(3, sum)]));
    assert.equal(readProxyHeader(right).state, "header");
    right[17] = (right[17] as number) ^ 1;
    assert.match(problemOf(right), /checksum/);
    assert.equal(crc32c(Buffer.from("123456789")), 0xe3069283);
  });

  test("is refused where it is not what it should be", () => {
    const wrongVersion = v2(1, 0x11, four);
    wrongVersion[12] = 0x11;
    assert.match(problemOf(wrongVersion), /version 1 of the protocol/);
    assert.match(problemOf(v2(2, 0x11, four)), /command 2/);
    assert.match(problemOf(v2(1, 0x41, four)), /family 0x41/);
    assert.match(problemOf(v2(1, 0x21, four)), /too short/);
    assert.match(problemOf(v2(1, 0x11, four, 65_535)), /more than 8192/);
    assert.match(problemOf(v2(1, 0x11, Buffer.concat([four, Buffer.from([2, 0])]))), /within a TLV/);
    assert.match(problemOf(v2(1, 0x11, Buffer.concat([four, Buffer.from([2, 0, 9, 1])]))), /longer than/);
  });
});

describe("any bytes", () => {
  test("are read the same however they arrive", () => {
    const whole = [
      Buffer.from("PROXY TCP4 192.0.2.1 198.51.100.2 5000 443\r\n"),
      v2(1, 0x21, Buffer.concat([six, tlv(1, Buffer.from("h2"))])),
    ];
    for (const bytes of whole) {
      for (let length = 0; length < bytes.length; length++)
        assert.equal(readProxyHeader(bytes.subarray(0, length)).state, "partial", `${length}`);
      assert.equal(headerOf(readProxyHeader(bytes)).length, bytes.length);
    }
  });

  test("give an answer, and addresses that are some", () => {
    const garbage = oneof(
      uint8Array({ maxLength: 300 }),
      uint8Array({ maxLength: 300 }).map((rest) => Buffer.concat([signature, rest])),
      tuple(
        constantFrom(0, 1, 2),
        constantFrom(0, 0x11, 0x12, 0x21, 0x31, 0x99),
        uint8Array({ maxLength: 300 }),
      ).map(([command, family, body]) => v2(command, family, body)),
      string({ maxLength: 150, unit: "binary" }).map((rest) => Buffer.from(`PROXY ${rest}\r\n`, "latin1")),
    );
    check(
      property(garbage, (bytes) => {
        const reading = readProxyHeader(bytes);
        if (reading.state !== "header") return;
        assert.ok(reading.length <= bytes.length);
        const { source } = reading.header;
        if (source !== null) assert.ok(isIP(source.address) > 0 && source.port >= 0 && source.port <= 65_535);
      }),
      { numRuns: 2_000 },
    );
  });

  test("that do not begin like a header are none at the first byte that differs", () => {
    assert.equal(readProxyHeader(Buffer.from("G")).state, "none");
    assert.equal(readProxyHeader(Buffer.from("PROXZ")).state, "none");
    assert.equal(readProxyHeader(Buffer.from("0d0a0d0a01", "hex")).state, "none");
  });
});
