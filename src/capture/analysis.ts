import { EventLog, mark } from "./events.js";
import type { Flow } from "./flow.js";
import { FlowTable } from "./flow-table.js";
import type { PacketSink } from "./format.js";
import type { FrameWatcher } from "./frames.js";
import { unreachableCode } from "./icmp.js";
import { LinkHeaders, linkTypeName, noIp } from "./link-layer.js";
import { followLiveness } from "./liveness.js";
import { Datagram, protocol, type Unreadable } from "./network-layer.js";
import { noTime } from "./no-time.js";
import { flag, Segment } from "./segment.js";
import { markSegment } from "./tcp-rules.js";

/** Events kept over all flows: 17 bytes each. What comes behind them still counts for verdicts. */
const mostEvents = 8_000_000;
/**
 * Beyond so many flows those that ended long ago are let go, so that a capture of any length fits. Up to there a late segment finds
 * its flow however late it is.
 */
const roomyFlows = 100_000;
/** A connection's last segments may wander about for two maximum segment lifetimes (RFC 9293 section 3.4.1), 4 min. */
const settledNs = 300e9;

/** Who is told of each flow that is complete. */
export type FlowTaker = (flow: Flow, events: EventLog) => void;

/** Packets in, flows out: takes each packet apart and keeps one flow's figures for each connection. */
export class Analysis implements PacketSink {
  packets = 0;
  lastNs = noTime;
  readonly events: EventLog;
  readonly #flows = new FlowTable();
  readonly #link = new LinkHeaders();
  readonly #datagram = new Datagram();
  readonly #segment = new Segment();
  readonly #skipped = new Map<string, number>();
  readonly #take: FlowTaker;
  readonly #watcher: FrameWatcher | null;
  #sinceSweep = 0;

  constructor(
    take: FlowTaker,
    watcher: FrameWatcher | null = null,
    events: EventLog = new EventLog(mostEvents),
  ) {
    this.#take = take;
    this.#watcher = watcher;
    this.events = events;
  }

  /** Packets that belong to no flow, by the reason why. */
  get skipped(): ReadonlyMap<string, number> {
    return this.#skipped;
  }

  packet(
    bytes: Uint8Array,
    start: number,
    end: number,
    originalLength: number,
    timeNs: number,
    linkType: number,
  ): void {
    this.packets++;
    this.#segment.timeNs = timeNs;
    this.#segment.frame = this.packets;
    if (timeNs > this.lastNs) this.lastNs = timeNs;
    const at = this.#link.read(linkType, bytes, start, end, start + originalLength);
    if (at < 0) {
      this.#skip(at === noIp.cut ? "cut short" : at === noIp.other ? "not IP" : linkTypeName(linkType));
      return;
    }
    const datagram = this.#datagram;
    const unreadable = datagram.read(bytes, at, end, this.#link.wireEnd);
    if (unreadable !== null) {
      this.#skip(skipReason(unreadable, "IP"));
      return;
    }
    if (datagram.fragmented) this.#skip("IP fragment");
    else if (datagram.protocol === protocol.tcp) this.#tcp(bytes, end, at);
    else if (datagram.protocol === protocol.icmp || datagram.protocol === protocol.icmpv6)
      this.#icmp(bytes, end);
    else this.#skip("not TCP");
  }

  /** All flows that are still at hand at the end and were not told of, in the order of their first frames. */
  left(): Iterable<Flow> {
    return [...this.#flows.flows()].sort((one, other) => one.firstFrame - other.firstFrame);
  }

  #tcp(bytes: Uint8Array, end: number, ipStart: number): void {
    const datagram = this.#datagram;
    const segment = this.#segment;
    const unreadable = segment.read(bytes, datagram.payload, end, datagram.payloadLength);
    if (unreadable !== null) {
      this.#skip(skipReason(unreadable, "TCP"));
      return;
    }
    segment.wireBytes = datagram.payload + datagram.payloadLength - ipStart;
    const { sourcePort, destinationPort } = segment;
    const flows = this.#flows;
    const { family, source, destination } = datagram;
    const known = flows.find(bytes, family, source, destination, sourcePort, destinationPort);
    const flow = known === null || isReuse(known, flows.sourceIsHigh, segment) ? this.#open(known) : known;
    const fromA = flows.sourceIsHigh === flow.aIsHigh;
    const from = fromA ? flow.a : flow.b;
    const to = fromA ? flow.b : flow.a;
    const marks = markSegment(flow, from, to, segment) | controlMarks(segment.flags);
    followLiveness(flow, from, to, segment, marks);
    flow.frames++;
    this.#watcher?.segment(flow, segment, marks, !fromA);
    if (marks !== 0) this.#record(flow, marks, !fromA);
  }

  /** An ICMP error quotes the head of the packet it is about: enough to find the flow by (RFC 792, RFC 4443 section 3.1). */
  #icmp(bytes: Uint8Array, end: number): void {
    const datagram = this.#datagram;
    const at = datagram.payload;
    const code =
      at + 8 > end ? -1 : unreachableCode(datagram.protocol, bytes[at] as number, bytes[at + 1] as number);
    const wireEnd = at + datagram.payloadLength;
    const flow = code < 0 ? null : this.#quotedFlow(bytes, at + 8, Math.min(end, wireEnd));
    if (flow === null) {
      this.#skip("not TCP");
      return;
    }
    const { frame, timeNs } = this.#segment;
    const quotedB = this.#flows.sourceIsHigh !== flow.aIsHigh;
    flow.icmp = { frame, timeNs, code, quotedB };
    flow.frames++;
    this.#watcher?.icmp(flow, this.#segment, code, !quotedB);
    this.#record(flow, mark.icmpUnreachable, !quotedB);
  }

  #quotedFlow(bytes: Uint8Array, at: number, end: number): Flow | null {
    const datagram = this.#datagram;
    // Routers quote a part only: what was on the wire is what the quoted header says.
    if (datagram.read(bytes, at, end, at + 0x10000) !== null) return null;
    const { payload } = datagram;
    if (datagram.protocol !== protocol.tcp || datagram.fragmentOffset !== 0 || payload + 8 > end) return null;
    const sourcePort = ((bytes[payload] as number) << 8) | (bytes[payload + 1] as number);
    const destinationPort = ((bytes[payload + 2] as number) << 8) | (bytes[payload + 3] as number);
    const { family, source, destination } = datagram;
    return this.#flows.find(bytes, family, source, destination, sourcePort, destinationPort);
  }

  #record(flow: Flow, marks: number, fromB: boolean): void {
    const { frame, timeNs } = this.#segment;
    flow.eventTail = this.events.add(flow.eventTail, frame, timeNs, marks, fromB);
    if (flow.eventHead < 0) flow.eventHead = flow.eventTail;
  }

  #open(replaced: Flow | null): Flow {
    const { frame, timeNs } = this.#segment;
    if (replaced !== null) this.#finish(replaced);
    const flow = this.#flows.add(replaced, frame, timeNs);
    this.#sinceSweep++;
    if (this.#flows.size > roomyFlows && this.#sinceSweep * 2 > this.#flows.size) this.#sweep(timeNs, flow);
    return flow;
  }

  #sweep(nowNs: number, opened: Flow): void {
    this.#sinceSweep = 0;
    for (const flow of this.#flows.flows()) {
      if (flow === opened || !flow.closed || nowNs - flow.lastNs < settledNs) continue;
      this.#finish(flow);
      this.#flows.remove(flow);
    }
  }

  #finish(flow: Flow): void {
    this.#take(flow, this.events);
    this.events.release(flow.eventHead, flow.eventTail);
  }

  #skip(reason: string): void {
    this.#skipped.set(reason, (this.#skipped.get(reason) ?? 0) + 1);
  }
}

/** A new SYN between the same endpoints opens a new connection; the same SYN again is a retransmission. */
function isReuse(flow: Flow, sourceIsHigh: boolean, { flags, seq }: Segment): boolean {
  if ((flags & (flag.syn | flag.ack)) !== flag.syn) return false;
  const from = sourceIsHigh === flow.aIsHigh ? flow.a : flow.b;
  return from.hasBase && seq !== from.base;
}

function controlMarks(flags: number): number {
  return (
    ((flags & flag.syn) === 0 ? 0 : mark.syn) |
    ((flags & flag.fin) === 0 ? 0 : mark.fin) |
    ((flags & flag.rst) === 0 ? 0 : mark.reset)
  );
}

function skipReason(unreadable: Unreadable, layer: string): string {
  return unreadable === "cut" ? "cut short" : `malformed ${layer}`;
}
