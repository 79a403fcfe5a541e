import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { betterSettings } from "../../src/capture/better.js";
import { type CaptureVerdict, explainCapture } from "../../src/capture/index.js";
import { planDetection } from "../../src/plan/planner.js";
import { cutOff, inOrder, unanswered } from "../cli/explain-captures.js";
import { bits, captureOf, MadeConnection, type MadeSegment, madeAt, pcapOf } from "../support/pcap.js";
import { type Packet, packetsOf, pcapFile } from "./wire.js";

const client = { from: "192.0.2.1", fromPort: 40_000, to: "198.51.100.7", toPort: 443 };
const server = { from: client.to, fromPort: client.toPort, to: client.from, toPort: client.fromPort };

type Line = Omit<MadeSegment, "from" | "fromPort" | "to" | "toPort">;
const c = (line: Line): MadeSegment => ({ ...client, ...line });
const s = (line: Line): MadeSegment => ({ ...server, ...line });

const handshake: readonly MadeSegment[] = [
  c({ atMs: 0, flags: bits.syn, seq: 99 }),
  s({ atMs: 10, flags: bits.syn | bits.ack, seq: 499, ack: 100 }),
  c({ atMs: 20, flags: bits.ack, seq: 100, ack: 500 }),
];

const syn = (atMs: number): MadeSegment => c({ atMs, flags: bits.syn, seq: 99 });
/** The server's window is full; Linux asks it with an empty segment one byte back. */
const full = (atMs: number): MadeSegment => s({ atMs, flags: bits.ack, seq: 500, ack: 110, window: 0 });
const probe = (atMs: number): MadeSegment => c({ atMs, flags: bits.ack, seq: 109, ack: 500 });

/** Data of the client that is sent again at twice the wait each time, from `atMs` on; the last one is sent at the end. */
function again(atMs: number, times: number): MadeSegment[] {
  return Array.from({ length: times + 1 }, (_, index) =>
    c({
      atMs: atMs + 200 * (2 ** index - 1),
      flags: bits.ack | bits.push,
      seq: 100,
      ack: 500,
      length: 10,
    }),
  );
}

async function verdictOf(file: Buffer): Promise<CaptureVerdict | null> {
  const { flows } = await explainCapture(file);
  assert.equal(flows.length, 1);
  return flows[0]?.verdict ?? null;
}

async function verdict(file: Buffer): Promise<CaptureVerdict> {
  const found = await verdictOf(file);
  assert.ok(found !== null, "there is a verdict");
  return found;
}

describe("keepalive", () => {
  test("its death: when, by which timer, after how many probes, with the frames that prove it", async () => {
    const { state, by, regime, timer, errno, certainty, givenUp, figures, ...rest } = await verdict(
      captureOf(cutOff()),
    );
    assert.deepEqual(
      { state, by, regime, timer, errno, certainty, givenUp },
      {
        state: "silent",
        by: "a",
        regime: "idle",
        timer: "keepalive",
        errno: "ETIMEDOUT",
        certainty: "certain",
        givenUp: true,
      },
    );
    assert.equal(figures?.probes, 3);
    assert.equal(rest.lastHeardMs, 90_000);
    assert.equal(rest.detectedAfterMs, 90_000);
    const last = cutOff().segments.length;
    assert.deepEqual(rest.proof.frames, [last - 4, last - 3, last - 2, last - 1, last]);
    assert.equal(rest.at, madeAt + (cutOff().segments.at(-1)?.atMs ?? 0));
  });

  test("a better setting is named with the time it would have taken", async () => {
    const { better } = await verdict(captureOf(cutOff()));
    assert.ok(better !== null && better.noticedAfterMs <= 35_000);
    assert.ok(better.settings.keepalive !== null);
  });

  test("an RST in answer to a probe: the peer restarted, and keepalive found out", async () => {
    const made = new MadeConnection(40_001).open(0).talk(10, 0, 5).probe(60_011, 0, false).reset(60_012, 1);
    const found = await verdict(captureOf(made));
    assert.deepEqual([found.state, found.by, found.timer], ["reset", "a", "keepalive"]);
    assert.equal(found.lastHeardMs, 60_001);
    assert.match(found.sentence, /in answer to a keepalive probe/);
  });

  test("probes that nothing answers, and then the capture ends", async () => {
    const made = new MadeConnection(40_001)
      .open(0)
      .talk(10, 0, 5)
      .probe(60_011, 0, false)
      .probe(70_011, 0, false);
    const found = await verdict(captureOf(made));
    assert.deepEqual([found.state, found.certainty, found.givenUp], ["silent", "likely", false]);
    assert.match(found.sentence, /When it was given up the capture does not show\.$/);
  });

  test("answered for ever it is no ending, and the settings are read from it", async () => {
    const made = new MadeConnection(40_001).open(0).talk(10, 0, 5);
    for (let turn = 1; turn <= 5; turn++) made.probe(11 + turn * 30_001, 0, true);
    const { flows } = await explainCapture(captureOf(made));
    assert.equal(flows[0]?.verdict, null);
    const inferred = flows[0]?.inferred;
    assert.equal(inferred?.keepalive[0]?.idleMs, 30_000);
    assert.deepEqual(inferred?.keepaliveTraffic, { packets: 10, bytes: 400 });
  });
});

describe("data in flight", () => {
  test("sent again and again: silent by retransmission, since the last acknowledgement", async () => {
    const found = await verdict(captureOf(unanswered()));
    assert.deepEqual(
      [found.state, found.by, found.timer, found.regime],
      ["silent", "a", "retransmit", "sending"],
    );
    assert.equal(found.certainty, "likely");
    assert.ok((found.figures?.retransmits ?? 0) >= 7);
  });

  test("the survivor speaks long after the other gave up, and gets an RST: that was silence, not a reset", async () => {
    const found = await verdict(
      pcapOf([
        ...handshake,
        ...again(1_000, 5),
        s({ atMs: 600_000, flags: bits.ack | bits.push, seq: 500, ack: 100, length: 5 }),
        c({ atMs: 600_000.1, flags: bits.rst, seq: 100 }),
      ]),
    );
    assert.deepEqual([found.state, found.by, found.timer], ["silent", "a", "retransmit"]);
    const lastAgainMs = 1_000 + 200 * (2 ** 5 - 1);
    assert.equal(found.at, madeAt + lastAgainMs + 6_400);
  });

  test("one loss that is made good is no death", async () => {
    const file = pcapOf([
      ...handshake,
      ...again(1_000, 1),
      s({ atMs: 1_210, flags: bits.ack, seq: 500, ack: 110 }),
    ]);
    assert.equal(await verdictOf(file), null);
  });
});

describe("connecting", () => {
  test("refused", async () => {
    const found = await verdict(
      pcapOf([syn(0), s({ atMs: 1, flags: bits.rst | bits.ack, seq: 0, ack: 100 })]),
    );
    assert.deepEqual([found.state, found.by, found.errno], ["reset", "a", "ECONNREFUSED"]);
    assert.equal(found.regime, "connecting");
  });

  test("unanswered", async () => {
    const found = await verdict(pcapOf([0, 1_000, 2_000, 3_000, 4_000, 6_000, 10_000].map(syn)));
    assert.deepEqual([found.state, found.by, found.regime], ["silent", "a", "connecting"]);
    assert.equal(found.lastHeardMs, null);
  });

  test("a router says that the host cannot be reached", async () => {
    const packets = packetsOf(pcapOf([syn(0)]));
    const found = await verdict(pcapFile([...packets, icmpAbout(packets[0] as Packet, 1, 5_000n)]));
    assert.deepEqual([found.state, found.by, found.errno], ["unreachable", "a", "EHOSTUNREACH"]);
    assert.match(found.sentence, /host's own look-up|router/);
    assert.deepEqual(found.proof.frames, [2]);
  });
});

describe("ICMP", () => {
  test("with data in flight the peer is unreachable", async () => {
    const packets = packetsOf(pcapOf([...handshake, ...again(1_000, 4)]));
    const quoted = packets.at(-2) as Packet;
    const { flows } = await explainCapture(pcapFile(inTime([...packets, icmpAbout(quoted, 1, 1_000n)])));
    assert.equal(flows[0]?.verdict?.state, "unreachable");
    const event = flows[0]?.events.find(({ kind }) => kind === "icmp-unreachable");
    assert.equal(event?.from, "b");
  });

  test("keepalive ignores it: the death stays one by silence", async () => {
    const packets = packetsOf(captureOf(cutOff()));
    const probe = packets.at(-3) as Packet;
    const found = await verdict(pcapFile(inTime([...packets, icmpAbout(probe, 1, 1_000n)])));
    assert.deepEqual([found.state, found.timer], ["silent", "keepalive"]);
  });

  test("fragmentation needed is no unreachable peer", async () => {
    const packets = packetsOf(pcapOf(handshake));
    const { flows, skipped } = await explainCapture(
      pcapFile([...packets, icmpAbout(packets[2] as Packet, 4, 1_000n)]),
    );
    assert.equal(skipped, 1);
    assert.ok(flows[0]?.events.every(({ kind }) => kind !== "icmp-unreachable"));
  });
});

describe("a closed window", () => {
  const data = c({ atMs: 1_000, flags: bits.ack | bits.push, seq: 100, ack: 500, length: 10 });

  test("probes that are answered: the host lives, its program takes nothing", async () => {
    const probed = [1, 2, 4, 8].flatMap((seconds) => [
      probe(1_100 + seconds * 1_000),
      full(1_101 + seconds * 1_000),
    ]);
    const found = await verdict(pcapOf([...handshake, data, full(1_010), ...probed]));
    assert.deepEqual([found.state, found.by, found.regime], ["unresponsive", "a", "zero-window"]);
    assert.equal(found.certainty, "likely");
  });

  test("probes that nothing answers: silent", async () => {
    const probed = [1, 2, 4, 8].map((seconds) => probe(1_100 + seconds * 1_000));
    const found = await verdict(pcapOf([...handshake, data, full(1_010), ...probed]));
    assert.deepEqual([found.state, found.timer], ["silent", "zero-window"]);
    assert.equal(found.figures?.probes, 4);
  });

  test("they are not taken for keepalive", async () => {
    const { flows } = await explainCapture(
      pcapOf([...handshake, data, full(1_010), probe(3_000), full(3_001)]),
    );
    assert.deepEqual(flows[0]?.inferred.keepalive, []);
  });

  test("a reader that goes on is no ending", async () => {
    const open = s({ atMs: 2_000, flags: bits.ack, seq: 500, ack: 110, window: 500 });
    assert.equal(await verdictOf(pcapOf([...handshake, data, full(1_010), probe(1_900), open])), null);
  });
});

describe("FIN", () => {
  test("in order: closed, as the other side sees it", async () => {
    const found = await verdict(captureOf(inOrder()));
    assert.deepEqual([found.state, found.by, found.certainty], ["closed", "b", "certain"]);
    assert.equal(found.better, null);
  });

  test("never answered: the peer was gone when its side was closed", async () => {
    const fin = [1_000, 1_200, 1_600, 2_400, 4_000].map((atMs) =>
      c({ atMs, flags: bits.fin | bits.ack, seq: 100, ack: 500 }),
    );
    const found = await verdict(pcapOf([...handshake, ...fin]));
    assert.deepEqual([found.state, found.by, found.regime], ["silent", "a", "closing"]);
  });

  const finAndAck = [
    c({ atMs: 1_000, flags: bits.fin | bits.ack, seq: 100, ack: 500 }),
    s({ atMs: 1_010, flags: bits.ack, seq: 500, ack: 101 }),
  ];
  const rst = (atMs: number): MadeSegment => c({ atMs, flags: bits.rst, seq: 101 });

  test("the other side keeps its own open, probes, and is told that nobody is there: reset", async () => {
    const probing = s({ atMs: 61_010, flags: bits.ack, seq: 499, ack: 101 });
    const found = await verdict(pcapOf([...handshake, ...finAndAck, probing, rst(61_011)]));
    assert.deepEqual(
      [found.state, found.by, found.timer, found.certainty],
      ["reset", "b", "keepalive", "certain"],
    );
    assert.match(found.sentence, /^The peer ended its side in order, then reset the connection/);
    assert.deepEqual(found.proof.frames, [4, 6, 7]);
  });

  test("the other side keeps its own open, and nothing answers its probes: silent, with its RST or without", async () => {
    const probing = [61_010, 71_010, 81_010].map((atMs) => s({ atMs, flags: bits.ack, seq: 499, ack: 101 }));
    const gaveUp = s({ atMs: 91_010, flags: bits.rst | bits.ack, seq: 500, ack: 101 });
    const found = await verdict(pcapOf([...handshake, ...finAndAck, ...probing, gaveUp]));
    assert.deepEqual(
      [found.state, found.by, found.timer, found.certainty],
      ["silent", "b", "keepalive", "certain"],
    );
    assert.deepEqual(found.proof.frames, [4, 6, 7, 8, 9]);
    const unfinished = await verdict(pcapOf([...handshake, ...finAndAck, ...probing]));
    assert.deepEqual([unfinished.state, unfinished.certainty], ["silent", "likely"]);
    const once = await verdict(pcapOf([...handshake, ...finAndAck, ...probing.slice(0, 1)]));
    assert.equal(once.state, "closed");
  });

  test("the other side had more to say than was wanted: closed all the same", async () => {
    const more = s({ atMs: 1_020, flags: bits.ack | bits.push, seq: 500, ack: 101, length: 10 });
    const found = await verdict(pcapOf([...handshake, ...finAndAck, more, rst(1_021)]));
    assert.deepEqual([found.state, found.by], ["closed", "b"]);
  });
});

test("the same ports again are another connection", async () => {
  const later = handshake.map((segment) => ({
    ...segment,
    atMs: segment.atMs + 60_000,
    seq: segment.seq + 70_000,
    ack: (segment.ack ?? 0) === 0 ? 0 : (segment.ack ?? 0) + 70_000,
  }));
  const { flows } = await explainCapture(pcapOf([...handshake, ...later]));
  assert.deepEqual(
    flows.map(({ frames, opener }) => ({ frames, opener })),
    [
      { frames: 3, opener: "a" },
      { frames: 3, opener: "a" },
    ],
  );
});

/** A router's "destination unreachable" that quotes the IP header and eight bytes of a packet. */
function icmpAbout({ us, bytes }: Packet, code: number, laterUs: bigint): Packet {
  const icmp = Buffer.alloc(20 + 8 + 28);
  icmp.writeUInt8(0x45, 0);
  icmp.writeUInt16BE(icmp.length, 2);
  icmp.writeUInt8(1, 9);
  icmp.set([203, 0, 113, 1], 12);
  bytes.copy(icmp, 16, 12, 16);
  icmp.writeUInt8(3, 20);
  icmp.writeUInt8(code, 21);
  bytes.copy(icmp, 28, 0, 28);
  return { us: us + laterUs, bytes: icmp };
}

function inTime(packets: readonly Packet[]): Packet[] {
  return packets.toSorted((one, other) => Number(one.us - other.us));
}

test("the better settings are the planner's for 35 s", () => {
  assert.deepEqual(betterSettings, planDetection({ detectWithin: "35s" }).settings);
});
