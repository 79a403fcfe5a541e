import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { FlowTable } from "../../src/lab/peers/flow-table.js";
import { addressDigits, type Endpoint, flag, TcpPacket } from "../../src/lab/peers/packet.js";

const samples = {
  // A SYN from 10.77.1.2:40000 to 10.77.2.2:7000 and one from fd77:1::2 to fd77:2::2, with correct checksums.
  4: packet(4, "10.77.1.2", "10.77.2.2", flag.syn),
  6: packet(6, "fd77:1::2", "fd77:2::2", flag.syn),
};

for (const family of [4, 6] as const) {
  test(`addresses and ports are rewritten in place, and every checksum stays right (IPv${family})`, () => {
    const digits = family === 4 ? 8 : 32;
    const endpoint = fc.record(
      {
        address: fc.stringMatching(new RegExp(`^[0-9a-f]{${digits}}$`)),
        port: fc.integer({ min: 0, max: 65_535 }),
      },
      { noNullPrototype: true },
    );
    fc.assert(
      fc.property(endpoint, endpoint, fc.uint8Array({ maxLength: 30 }), (source, destination, data) => {
        const bytes = packet(
          family,
          family === 4 ? "10.77.1.2" : "fd77:1::2",
          family === 4 ? "10.77.2.2" : "fd77:2::2",
          flag.ack,
          data,
        );
        const segment = TcpPacket.read(bytes);
        assert.ok(segment !== null);
        segment.source = source;
        segment.destination = destination;
        assert.deepEqual(segment.source, source);
        assert.deepEqual(segment.destination, destination);
        assertChecksums(bytes, family);
      }),
    );
  });

  test(`the refusal of a segment is an RST that its sender believes (IPv${family})`, () => {
    for (const flags of [flag.syn, flag.ack, flag.ack | flag.fin]) {
      const [from, to] = family === 4 ? ["10.77.1.2", "10.77.2.2"] : ["fd77:1::2", "fd77:2::2"];
      const asked = TcpPacket.read(packet(family, from, to, flags, Buffer.from("hello")));
      assert.ok(asked !== null);
      const bytes = asked.refusal();
      assertChecksums(bytes, family);
      const refusal = TcpPacket.read(bytes);
      assert.ok(refusal !== null);
      assert.deepEqual(refusal.source, asked.destination);
      assert.deepEqual(refusal.destination, asked.source);
      const header = family === 4 ? 20 : 40;
      if (flags === flag.syn) {
        // RFC 9293 section 3.10.7.1: sequence number 0, and everything acknowledged: 1000, the SYN and 5 bytes.
        assert.equal(refusal.flags, flag.rst | flag.ack);
        assert.equal(bytes.readUInt32BE(header + 4), 0);
        assert.equal(bytes.readUInt32BE(header + 8), 1_006);
      } else {
        assert.equal(refusal.flags, flag.rst);
        assert.equal(bytes.readUInt32BE(header + 4), 2_000);
      }
    }
  });
}

test("what is no whole TCP segment is none of the NAT's business", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      TcpPacket.read(Buffer.from(bytes));
    }),
  );
  for (const family of [4, 6] as const) {
    const whole = samples[family];
    for (let length = 0; length < whole.length; length++)
      assert.equal(TcpPacket.read(whole.subarray(0, length)), null);
    assert.notEqual(TcpPacket.read(whole), null);
  }
  const fragment = Buffer.from(samples[4]);
  fragment.writeUInt16BE(0x2000, 6);
  assert.equal(TcpPacket.read(fragment), null);
});

test("a full table forgets the flow that was used least recently, whatever was done before", () => {
  const port = fc.integer({ min: 1, max: 8 });
  const action = fc.record({ kind: fc.constantFrom("open", "out", "in"), port });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), fc.array(action, { maxLength: 60 }), (room, actions) => {
      const table = new FlowTable(room);
      // The least recently used first.
      let known: { port: number; outside: Endpoint }[] = [];
      for (const { kind, port } of actions) {
        const inside = { address: "0a4d0102", port };
        const flow = known.find((one) => one.port === port);
        const found =
          kind === "in"
            ? flow === undefined
              ? null
              : table.behind(flow.outside.port)
            : table.inside(inside);
        assert.deepEqual(found, flow === undefined ? null : kind === "in" ? inside : flow.outside);
        if (flow !== undefined) known = [...known.filter((one) => one !== flow), flow];
        else if (kind === "open") {
          known = [
            ...known.slice(known.length === room ? 1 : 0),
            { port, outside: table.add(inside, "0a4dfe01") },
          ];
        }
      }
      for (const { port, outside } of known) assert.equal(table.behind(outside.port)?.port, port);
    }),
  );
});

function packet(
  family: 4 | 6,
  from: string,
  to: string,
  flags: number,
  data: Uint8Array = Buffer.alloc(0),
): Buffer {
  const segment = Buffer.alloc(20 + data.length);
  segment.writeUInt16BE(40_000, 0);
  segment.writeUInt16BE(7_000, 2);
  segment.writeUInt32BE(1_000, 4);
  segment.writeUInt32BE(2_000, 8);
  segment[12] = 5 << 4;
  segment[13] = flags;
  segment.set(data, 20);
  const addresses = Buffer.from(addressDigits(from) + addressDigits(to), "hex");
  const header = Buffer.alloc(family === 4 ? 20 : 40);
  header[0] = family === 4 ? 0x45 : 0x60;
  header.writeUInt16BE(segment.length + (family === 4 ? 20 : 0), family === 4 ? 2 : 4);
  header[family === 4 ? 9 : 6] = 6;
  header[family === 4 ? 8 : 7] = 64;
  addresses.copy(header, family === 4 ? 12 : 8);
  if (family === 4) header.writeUInt16BE(checksum(header), 10);
  segment.writeUInt16BE(checksum(Buffer.concat([addresses, pseudoEnd(segment.length), segment])), 16);
  return Buffer.concat([header, segment]);
}

/** RFC 1071: over data with its checksum in place the sum comes to nothing. */
function assertChecksums(bytes: Buffer, family: 4 | 6): void {
  const header = family === 4 ? 20 : 40;
  if (family === 4) assert.equal(checksum(bytes.subarray(0, header)), 0);
  const addresses = bytes.subarray(family === 4 ? 12 : 8, header);
  const segment = bytes.subarray(header);
  assert.equal(checksum(Buffer.concat([addresses, pseudoEnd(segment.length), segment])), 0);
}

/** The protocol and the length, which the pseudo-header ends in; the same sum for both families (RFC 9293, RFC 8200 section 8.1). */
function pseudoEnd(length: number): Buffer {
  const end = Buffer.alloc(4);
  end.writeUInt16BE(6, 0);
  end.writeUInt16BE(length, 2);
  return end;
}

function checksum(bytes: Buffer): number {
  const even = bytes.length % 2 === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(1)]);
  let sum = 0;
  for (let at = 0; at < even.length; at += 2) sum += even.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
