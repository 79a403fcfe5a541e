import { Half } from "./half.js";
import {
  booleanFields,
  doubleFields,
  int32Fields,
  partWords,
  RowView,
  rowWords,
  type Slab,
  uint32Fields,
} from "./rows.js";

/** An ICMP error that quoted a segment of the flow. */
export interface IcmpReport {
  readonly frame: number;
  readonly timeNs: number;
  readonly code: number;
  /** Whose segment was not delivered: b's, else a's. */
  readonly quotedB: boolean;
}

const openers = [null, "a", "b"] as const;

/**
 * One TCP connection as the capture saw it: a view of its row, good until it is moved to another. Side a sent the connection's first
 * frame. In the flow table's order of endpoints a may stand second: `aIsHigh`. The key stands in the row itself and in front: looking
 * it up then touches one stretch of memory.
 */
export class Flow extends RowView {
  declare hash: number;
  /** Both ports, the low endpoint's in the upper half. */
  declare ports: number;
  declare low0: number;
  declare high0: number;
  /** The next flow in the same bucket of the table; -1: none. */
  declare next: number;
  declare isIpv6: boolean;
  declare aIsHigh: boolean;
  /** The rest of IPv6 addresses. */
  declare low1: number;
  declare low2: number;
  declare low3: number;
  declare high1: number;
  declare high2: number;
  declare high3: number;
  declare firstFrame: number;
  declare firstNs: number;

  declare frames: number;
  /** Which of `openers`. */
  declare openerCode: number;
  /** The last SYN of the handshake, and the time from it to the first acknowledgement behind it. */
  declare synNs: number;
  /** 0: not known. */
  declare firstRttNs: number;
  declare established: boolean;
  /** 0: there was no ICMP error. */
  declare icmpFrame: number;
  declare icmpCode: number;
  declare icmpQuotedB: boolean;
  declare icmpNs: number;
  declare eventHead: number;
  declare eventTail: number;

  readonly a: Half;
  readonly b: Half;
  /** The number of its row over all slabs. */
  index = 0;

  constructor(slab: Slab) {
    super(slab);
    this.a = new Half(slab);
    this.b = new Half(slab);
  }

  /** Moves the view to a row of a slab. */
  select(slab: Slab, row: number, index: number): void {
    if (slab !== this.slab) for (const view of [this, this.a, this.b]) view.look(slab);
    const word = row * rowWords;
    this.index = index;
    this.word = word;
    this.a.word = word + partWords;
    this.b.word = word + 2 * partWords;
  }

  /** Makes the row a new flow's. */
  begin(key: FlowKey, aIsHigh: boolean, frame: number, timeNs: number): void {
    this.ints.fill(0, this.word, this.word + rowWords);
    this.hash = key.hash;
    this.ports = key.ports;
    this.isIpv6 = key.family === 6;
    this.low0 = key.low0;
    this.low1 = key.low1;
    this.low2 = key.low2;
    this.low3 = key.low3;
    this.high0 = key.high0;
    this.high1 = key.high1;
    this.high2 = key.high2;
    this.high3 = key.high3;
    this.aIsHigh = aIsHigh;
    this.firstFrame = frame;
    this.firstNs = timeNs;
    this.synNs = Number.NaN;
    this.eventHead = -1;
    this.eventTail = -1;
    this.a.begin();
    this.b.begin();
  }

  /** Who sent the first SYN; null: the capture begins later. */
  get opener(): "a" | "b" | null {
    return openers[this.openerCode] ?? null;
  }

  set opener(side: "a" | "b" | null) {
    this.openerCode = openers.indexOf(side);
  }

  /** The last one that came. */
  get icmp(): IcmpReport | null {
    const { icmpFrame, icmpNs, icmpCode, icmpQuotedB } = this;
    return icmpFrame === 0
      ? null
      : { frame: icmpFrame, timeNs: icmpNs, code: icmpCode, quotedB: icmpQuotedB };
  }

  report({ frame, timeNs, code, quotedB }: IcmpReport): void {
    this.icmpFrame = frame;
    this.icmpNs = timeNs;
    this.icmpCode = code;
    this.icmpQuotedB = quotedB;
  }

  get lastNs(): number {
    const { a, b } = this;
    return Math.max(a.lastNs, b.lastNs, a.rstNs, b.rstNs);
  }

  /** Ended by both sides' FIN, or by an RST: nothing more is to be expected. */
  get closed(): boolean {
    const { a, b } = this;
    return a.rstFrame > 0 || b.rstFrame > 0 || (a.finFrame > 0 && b.finFrame > 0);
  }
}

int32Fields(Flow, 0, ["hash", "ports", "low0", "high0", "next"]);
booleanFields(Flow, 5, ["isIpv6", "aIsHigh", "established"]);
int32Fields(Flow, 8, ["eventHead", "eventTail", "openerCode"]);
uint32Fields(Flow, 11, ["frames", "firstFrame"]);
int32Fields(Flow, 13, ["low1", "low2", "low3", "high1", "high2", "high3"]);
uint32Fields(Flow, 19, ["icmpFrame", "icmpCode"]);
booleanFields(Flow, 21, ["icmpQuotedB"]);
doubleFields(Flow, 24, ["firstNs", "synNs", "firstRttNs", "icmpNs"]);

/**
 * Both endpoints of a packet in an order that does not depend on its direction; one object, filled again and again. Addresses are
 * words in network order, of which IPv4 has one.
 */
export class FlowKey {
  family: 4 | 6 = 4;
  low0 = 0;
  low1 = 0;
  low2 = 0;
  low3 = 0;
  high0 = 0;
  high1 = 0;
  high2 = 0;
  high3 = 0;
  ports = 0;
  hash = 0;
}
