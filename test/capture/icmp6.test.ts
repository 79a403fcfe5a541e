import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Explanation, explainCapture } from "../../src/capture/index.js";
import { MadeConnection, pcapOf } from "../support/pcap.js";
import { needsTshark } from "./tshark.js";
import { asIpv6, type Packet, packetsOf, pcapFile } from "./wire.js";

/** Headers that may stand before TCP, each of them with a length of its own. */
const extensions = {
  none: [],
  "hop-by-hop options": [[0, header(16)]],
  "a routing header and destination options": [
    [43, header(24)],
    [60, header(8)],
  ],
  authentication: [[51, Buffer.from([0, 4, ...Array.from({ length: 22 }, () => 0)])]],
  "the first fragment": [[44, Buffer.from([0, 0, 0, 1, 0, 0, 0, 7])]],
} as const satisfies Record<string, Parameters<typeof asIpv6>[1]>;
type Extensions = keyof typeof extensions;

const ipv6Header = 40;
const icmpHeader = 8;
/** Ports and sequence number: what a router has to quote of TCP at least (RFC 4443 section 2.4 wants more). */
const quotedOfTcp = 8;

/** Two connections of one client; on the first, data stays unanswered. */
const client = "192.0.2.1";
const sending = new MadeConnection(40_001, client).open(0).unheard(1_000, 0, 100);
for (const atMs of [1_200, 1_600, 2_400, 4_000]) sending.again(atMs, 0, 100);
const other = new MadeConnection(40_002, client).open(10).talk(500, 1, 50);

/** All their packets, then the first SYN, and the unanswered data, which a router may say no to. */
const talk = packetsOf(pcapOf([...sending.segments, ...other.segments]))
  .map(({ us, bytes }) => ({ us, bytes: asIpv6(bytes) }))
  .toSorted((one, two) => Number(one.us - two.us));
const [handshake, data] = [talk[0] as Packet, packetsOf(pcapOf(sending.segments))[3] as Packet];

describe("an ICMPv6 error is tied to the connection that it quotes", () => {
  for (const name of Object.keys(extensions) as Extensions[])
    test(`with ${name} within the quotation`, async () => {
      const { flows, skipped } = await withError(
        unreachable({ quoted: asIpv6(data.bytes, extensions[name]) }),
      );
      assert.equal(skipped, 0);
      assert.deepEqual(eventsOf(flows, 40_001), [{ kind: "icmp-unreachable", from: "b" }]);
      assert.deepEqual(eventsOf(flows, 40_002), []);
    });

  test("whichever side has sent what it quotes", async () => {
    const answer = talk.find(({ bytes }) => bytes.readUInt16BE(ipv6Header + 2) === 40_002) as Packet;
    const { flows } = await withError(unreachable({ quoted: answer.bytes }));
    assert.deepEqual(eventsOf(flows, 40_002), [{ kind: "icmp-unreachable", from: "a" }]);
    assert.deepEqual(eventsOf(flows, 40_001), []);
  });

  test("also behind extension headers of its own", async () => {
    const { flows } = await withError(unreachable({ own: [[0, header(8)]] }));
    assert.equal(eventsOf(flows, 40_001).length, 1);
  });

  test("but not what is about a connection that is not in the capture, or about no TCP", async () => {
    const stranger = asIpv6(data.bytes);
    stranger.writeUInt16BE(1, ipv6Header);
    const udp = asIpv6(data.bytes);
    udp.writeUInt8(17, 6);
    const later = asIpv6(data.bytes, [[44, Buffer.from([0, 0, 0, 8, 0, 0, 0, 7])]]);
    const ipv4 = Buffer.concat([data.bytes, Buffer.alloc(60)]);
    for (const quoted of [stranger, udp, later, ipv4]) {
      const { flows, skippedFor } = await withError(unreachable({ quoted }));
      assert.deepEqual(skippedFor, [{ reason: "not TCP", packets: 1 }]);
      assert.deepEqual([...eventsOf(flows, 40_001), ...eventsOf(flows, 40_002)], []);
    }
  });

  test("packet too big, time exceeded, parameter problem and all that is no error say nothing of the peer", async () => {
    for (const type of [2, 3, 4, 100, 128, 129, 135]) {
      const { flows, skipped } = await withError(unreachable({ type }));
      assert.deepEqual([skipped, eventsOf(flows, 40_001)], [1, []], `type ${type}`);
    }
    assert.equal((await withError(unreachable({ code: 7 }))).skipped, 1, "a code that nobody has given out");
  });
});

describe("a quotation that was cut short", () => {
  for (const name of Object.keys(extensions) as Extensions[])
    test(`by the router, at every byte, with ${name}`, async () => {
      const quoted = asIpv6(data.bytes, extensions[name]);
      const least = quoted.length - tcpLength(quoted, name) + quotedOfTcp;
      for (let length = 0; length < least + 16; length++) {
        const { flows } = await withError(unreachable({ quoted: quoted.subarray(0, length) }));
        assert.equal(eventsOf(flows, 40_001).length, length < least ? 0 : 1, `${length} bytes`);
      }
    });

  test("by the snap length, at every byte", async () => {
    const whole = unreachable({});
    const least = ipv6Header + icmpHeader + ipv6Header + quotedOfTcp;
    for (let length = 0; length < whole.bytes.length; length++) {
      const bytes = whole.bytes.subarray(0, length);
      const { packets, flows } = await withError({ ...whole, bytes, originalLength: whole.bytes.length });
      assert.equal(packets, talk.length + 1);
      assert.equal(eventsOf(flows, 40_001).length, length < least ? 0 : 1, `${length} bytes`);
    }
  });
});

/** RFC 4443 section 3.1, and errno as icmpv6_err_convert has it; the lab's scenario unreachable-codes asks the kernel. */
const codes: readonly (readonly [code: number, errno: string])[] = [
  [0, "ENETUNREACH"],
  [1, "EACCES"],
  [2, "EHOSTUNREACH"],
  [3, "EHOSTUNREACH"],
  [4, "ECONNREFUSED"],
  [5, "EACCES"],
  [6, "EACCES"],
];

describe("the verdict, with data in flight", () => {
  for (const [code, errno] of codes)
    test(`code ${code}: unreachable, ${errno}`, async () => {
      const { flows } = await withError(unreachable({ code }));
      const verdict = flows.find(({ a }) => a.port === 40_001)?.verdict;
      assert.deepEqual([verdict?.state, verdict?.by, verdict?.errno], ["unreachable", "a", errno]);
      assert.ok(verdict?.proof.frames.includes(talk.length + 1));
      assert.equal(flows.find(({ a }) => a.port === 40_002)?.verdict, null);
    });

  test("connecting: unreachable, too", async () => {
    const syn = { us: handshake.us, bytes: handshake.bytes };
    const { flows } = await explainCapture(
      pcapFile([syn, { ...unreachable({ quoted: syn.bytes }), us: syn.us + 5_000n }]),
    );
    assert.deepEqual([flows[0]?.verdict?.state, flows[0]?.verdict?.regime], ["unreachable", "connecting"]);
  });
});

describe("tshark reads the same out of the quotation", { skip: needsTshark }, () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "deadpeer-icmp6-test-"));
  });
  after(() => rmSync(folder, { recursive: true }));

  for (const name of Object.keys(extensions) as Extensions[])
    test(`with ${name}, whole and cut`, async () => {
      const quoted = asIpv6(data.bytes, extensions[name]);
      const tcpAt = quoted.length - tcpLength(quoted, name);
      // Wireshark names ports from four bytes of TCP on; the kernel wants eight (icmpv6_notify), and so do we.
      const cuts = [0, 39, tcpAt, tcpAt + 3, tcpAt + 8, tcpAt + 20, quoted.length];
      const errors = cuts.map((length, code) => unreachable({ quoted: quoted.subarray(0, length), code }));
      const capture = pcapFile([...talk, ...errors]);
      const path = join(folder, "errors.pcap");
      writeFileSync(path, capture);
      const { flows } = await explainCapture(capture);
      const ours = flows.flatMap(({ a, b, events }) =>
        events
          .filter(({ kind }) => kind === "icmp-unreachable")
          .map(({ frame }) => `${frame} ${a.address} ${b.address} ${a.port} ${b.port}`),
      );
      assert.deepEqual(ours, askTshark(path));
      assert.equal(ours.length, 3);
    });
});

/** Frame, and addresses and ports that the quotation names, of every "destination unreachable" that names ports. */
function askTshark(path: string): string[] {
  const fields = ["frame.number", "ipv6.src", "ipv6.dst", "tcp.srcport", "tcp.dstport"];
  // Without the rest of a fragmented packet, which nobody quotes, it would not look into the first part.
  const args = [
    "-n",
    "-o",
    "ipv6.defragment:FALSE",
    "-r",
    path,
    "-Y",
    "icmpv6.type == 1 && tcp",
    "-T",
    "fields",
    "-E",
    "occurrence=l",
  ];
  const { status, stdout, stderr } = spawnSync(
    "tshark",
    [...args, "-E", "separator=/s", ...fields.flatMap((field) => ["-e", field])],
    { encoding: "utf8" },
  );
  assert.equal(status, 0, stderr);
  return stdout.trim().split("\n");
}

interface ErrorOptions {
  readonly type?: number;
  readonly code?: number;
  readonly quoted?: Buffer;
  /** Extension headers of the message itself. */
  readonly own?: Parameters<typeof asIpv6>[1];
}

/** A router's message about a packet, right after the last retransmission. */
function unreachable({ type = 1, code = 0, quoted = asIpv6(data.bytes), own = [] }: ErrorOptions): Packet {
  const message = Buffer.concat([Buffer.from([type, code, 0, 0, 0, 0, 0, 0]), quoted]);
  const packet = asIpv6(Buffer.concat([data.bytes.subarray(0, 20), message]), own);
  // The last header in the chain says TCP.
  let at = 6;
  for (let next = ipv6Header, left = own.length; left > 0; left--) {
    at = next;
    next += ((packet[next + 1] as number) + 1) * 8;
  }
  packet.writeUInt8(58, at);
  packet.set([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff], 8);
  asIpv6(data.bytes).copy(packet, 24, 8, 24);
  return { us: data.us + 2_000_000n, bytes: packet };
}

function withError(error: Packet): Promise<Explanation> {
  return explainCapture(pcapFile([...talk, error]));
}

/** What is said of ICMP on the connection from a port. */
function eventsOf(flows: Explanation["flows"], port: number): { kind: string; from: string }[] {
  const events = flows.find(({ a }) => a.port === port)?.events ?? [];
  return events.filter(({ kind }) => kind.startsWith("icmp")).map(({ kind, from }) => ({ kind, from }));
}

/** An extension header of so many bytes, multiples of eight. */
function header(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  bytes.writeUInt8(length / 8 - 1, 1);
  return bytes;
}

function tcpLength(quoted: Buffer, name: Extensions): number {
  return quoted.length - ipv6Header - extensions[name].reduce((sum, [, { length }]) => sum + length, 0);
}
