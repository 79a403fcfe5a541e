import { Half } from "./half.js";
import { noTime } from "./no-time.js";

/** An ICMP error that quoted a segment of the flow. */
export interface IcmpReport {
  readonly frame: number;
  readonly timeNs: number;
  readonly code: number;
  /** Whose segment was not delivered: b's, else a's. */
  readonly quotedB: boolean;
}

/**
 * One TCP connection as the capture saw it. Side a sent its first frame. In the flow table's order of endpoints a may stand second:
 * `aIsHigh`. The key stands in the flow itself and in front: looking it up then touches one stretch of memory. Rows of typed arrays in
 * place of objects took 60 % of the memory, but a tenth longer for a million packets, most of it before V8 had compiled the accessors.
 */
export class Flow {
  readonly hash: number;
  /** Both ports, the low endpoint's in the upper half. */
  readonly ports: number;
  readonly low0: number;
  readonly high0: number;
  /** The next flow in the same bucket of the table. */
  next: Flow | null = null;
  readonly family: 4 | 6;
  readonly aIsHigh: boolean;
  readonly a = new Half();
  readonly b = new Half();
  /** The rest of IPv6 addresses. */
  readonly low1: number;
  readonly low2: number;
  readonly low3: number;
  readonly high1: number;
  readonly high2: number;
  readonly high3: number;
  readonly firstFrame: number;
  readonly firstNs: number;

  frames = 0;
  /** Who sent the first SYN; null: the capture begins later. */
  opener: "a" | "b" | null = null;
  /** The last SYN of the handshake, and the time from it to the first acknowledgement behind it. */
  synNs = Number.NaN;
  /** 0: not known. */
  firstRttNs = noTime;
  established = false;
  icmp: IcmpReport | null = null;
  eventHead = -1;
  eventTail = -1;

  constructor(key: FlowKey, aIsHigh: boolean, frame: number, timeNs: number) {
    this.hash = key.hash;
    this.ports = key.ports;
    this.family = key.family;
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
