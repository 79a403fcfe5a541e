import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Explanation, explainCapture } from "../../src/capture/index.js";
import { asIpv6, behind, ethernet, type Packet, pcapFile, plainPackets, pppoe } from "./wire.js";

const expected = await explainCapture(pcapFile(plainPackets));

function wrapped(linkType: number, wrap: (bytes: Buffer, index: number) => Buffer): Promise<Explanation> {
  const packets = plainPackets.map(({ us, bytes }, index) => ({ us, bytes: wrap(bytes, index) }));
  return explainCapture(pcapFile(packets, { linkType }));
}

const zeros = (length: number): number[] => Array.from({ length }, () => 0);

describe("the account is the same behind every link layer", () => {
  const cases: readonly (readonly [string, number, (bytes: Buffer) => Buffer])[] = [
    ["Ethernet, with its padding", 1, (bytes) => ethernet([0x08, 0x00], bytes)],
    ["802.1Q", 1, (bytes) => ethernet([0x81, 0x00, 0x00, 0x2a, 0x08, 0x00], bytes)],
    ["802.1ad", 1, (bytes) => ethernet([0x88, 0xa8, 0, 1, 0x81, 0x00, 0, 2, 0x08, 0x00], bytes)],
    ["old QinQ", 1, (bytes) => ethernet([0x91, 0x00, 0, 1, 0x81, 0x00, 0, 2, 0x08, 0x00], bytes)],
    ["PPPoE", 1, (bytes) => ethernet(pppoe(bytes.length), bytes)],
    ["Linux cooked", 113, (bytes) => behind([...zeros(14), 0x08, 0x00], bytes)],
    ["Linux cooked v2", 276, (bytes) => behind([0x08, 0x00, ...zeros(18)], bytes)],
    ["raw IP of BSD", 12, (bytes) => bytes],
    ["raw IP of OpenBSD", 14, (bytes) => bytes],
    ["raw IPv4", 228, (bytes) => bytes],
    ["null, little-endian", 0, (bytes) => behind([2, 0, 0, 0], bytes)],
    ["null, big-endian", 0, (bytes) => behind([0, 0, 0, 2], bytes)],
    ["loop", 108, (bytes) => behind([0, 0, 0, 2], bytes)],
  ];
  for (const [name, linkType, wrap] of cases)
    test(name, async () => {
      assert.deepEqual(await wrapped(linkType, wrap), expected);
    });
});

test("behind the length that PPPoE tells there is padding, whatever the IP header says", async () => {
  const packets = plainPackets.map(({ us, bytes }) => {
    const padded = Buffer.concat([bytes, Buffer.alloc(6)]);
    padded.writeUInt16BE(padded.length, 2);
    return { us, bytes: ethernet(pppoe(bytes.length), padded) };
  });
  const { flows } = await explainCapture(pcapFile(packets, { linkType: 1 }));
  assert.deepEqual(
    flows.map(({ events }) => events),
    expected.flows.map(({ events }) => events),
  );
});

/** An IPv6 extension header of so many bytes. */
function option(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  bytes.writeUInt8(length / 8 - 1, 1);
  return bytes;
}

describe("IPv6", () => {
  const authentication = Buffer.alloc(24);
  authentication.writeUInt8(4, 1);
  const cases: readonly (readonly [string, readonly (readonly [number, Buffer])[]])[] = [
    ["bare", []],
    ["hop-by-hop options", [[0, option(8)]]],
    [
      "several extension headers",
      [
        [0, option(8)],
        [43, option(24)],
        [60, option(16)],
        [51, authentication],
      ],
    ],
    ["a fragment header without fragmentation", [[44, Buffer.alloc(8)]]],
  ];
  for (const [name, extensions] of cases)
    test(name, async () => {
      const { flows, skipped } = await wrapped(229, (bytes) => asIpv6(bytes, extensions));
      assert.equal(skipped, 0);
      assert.equal(flows[0]?.a.address, "2001:db8::c000:201");
      assert.deepEqual(
        flows.map(({ events }) => events),
        expected.flows.map(({ events }) => events),
      );
    });

  for (const family of [10, 23, 24, 28, 30])
    test(`BSD's loopback with address family ${family}`, async () => {
      const { flows } = await wrapped(0, (bytes) => behind([family, 0, 0, 0], asIpv6(bytes)));
      assert.equal(flows.length, expected.flows.length);
    });
});

describe("what is on the wire counts, not what was captured", () => {
  test("cut by the snap length", async () => {
    const packets = plainPackets.map(({ us, bytes }) => ({
      us,
      bytes: bytes.subarray(0, 40),
      originalLength: bytes.length,
    }));
    assert.deepEqual(await explainCapture(pcapFile(packets)), expected);
  });

  test("IPv4 options", async () => {
    const account = await wrapped(101, (bytes) => {
      const header = Buffer.concat([bytes.subarray(0, 20), Buffer.from([1, 1, 1, 0])]);
      header.writeUInt8(0x46, 0);
      header.writeUInt16BE(bytes.length + 4, 2);
      return Buffer.concat([header, bytes.subarray(20)]);
    });
    assert.deepEqual(
      account.flows.map(({ events }) => events),
      expected.flows.map(({ events }) => events),
    );
  });

  test("a total length of 0, as segments have that the network card was to cut", async () => {
    const account = await wrapped(101, (bytes) => {
      const copy = Buffer.from(bytes);
      copy.writeUInt16BE(0, 2);
      return copy;
    });
    assert.deepEqual(account, expected);
  });
});

describe("what is left out is counted, with the reason", () => {
  const one = plainPackets[0] as Packet;
  const changed = (at: number, value: number): Buffer => {
    const copy = Buffer.from(one.bytes);
    copy.writeUInt8(value, at);
    return copy;
  };
  const cases: readonly (readonly [string, number, Buffer, string])[] = [
    ["an unknown link", 105, one.bytes, "link type 105 (IEEE 802.11)"],
    ["a link nobody has heard of", 4242, one.bytes, "link type 4242"],
    ["ARP", 1, ethernet([0x08, 0x06], one.bytes), "not IP"],
    ["UDP", 101, changed(9, 17), "not TCP"],
    ["half an Ethernet header", 1, one.bytes.subarray(0, 9), "cut short"],
    ["half an IP header", 101, one.bytes.subarray(0, 12), "cut short"],
    ["half a TCP header", 101, one.bytes.subarray(0, 30), "cut short"],
    ["IP version 5", 101, changed(0, 0x55), "malformed IP"],
    ["an IP header of 8 bytes", 101, changed(0, 0x42), "malformed IP"],
    ["a TCP header of 8 bytes", 101, changed(32, 0x20), "malformed TCP"],
    ["a fragment", 101, changed(6, 0x20), "IP fragment"],
  ];
  for (const [name, linkType, bytes, reason] of cases)
    test(name, async () => {
      const packet = { us: one.us, bytes, originalLength: one.bytes.length };
      const { packets, skipped, skippedFor, flows } = await explainCapture(pcapFile([packet], { linkType }));
      assert.deepEqual({ packets, skipped, flows }, { packets: 1, skipped: 1, flows: [] });
      assert.deepEqual(skippedFor, [{ reason, packets: 1 }]);
    });
});
