import { Half } from "./half.js";

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
 * `aIsHigh`.
 */
export class Flow {
  readonly family: 4 | 6;
  /** Endpoints in the table's order: addresses as one or four words, ports as one. */
  readonly low: FlowAddress;
  readonly high: FlowAddress;
  readonly ports: number;
  readonly hash: number;
  readonly aIsHigh: boolean;
  readonly firstFrame: number;
  readonly firstNs: number;
  readonly a = new Half();
  readonly b = new Half();
  /** The next flow in the same bucket of the table. */
  next: Flow | null = null;

  frames = 0;
  /** Who sent the first SYN; null: the capture begins later. */
  opener: "a" | "b" | null = null;
  /** The last SYN of the handshake, and the time from it to the first acknowledgement behind it. */
  synNs = Number.NaN;
  /** 0: not known. */
  firstRttNs = 0;
  established = false;
  icmp: IcmpReport | null = null;
  eventHead = -1;
  eventTail = -1;

  constructor(key: FlowKey, aIsHigh: boolean, frame: number, timeNs: number) {
    this.family = key.family;
    this.low = { w0: key.low0, w1: key.low1, w2: key.low2, w3: key.low3 };
    this.high = { w0: key.high0, w1: key.high1, w2: key.high2, w3: key.high3 };
    this.ports = key.ports;
    this.hash = key.hash;
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

/** An address as 32-bit words in network order; IPv4 has one, the rest is 0. */
export interface FlowAddress {
  readonly w0: number;
  readonly w1: number;
  readonly w2: number;
  readonly w3: number;
}

/** Both endpoints of a packet in an order that does not depend on its direction; one object, filled again and again. */
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
