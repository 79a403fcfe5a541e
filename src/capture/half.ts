import type { Silence } from "./silence.js";

/** The window of a side that nothing was heard of: no segment has it. */
const unknownWindow = -1;

/** Window scaling where there is no shift to speak of: the SYN was not seen, or one of the two did not offer it. */
export const shift = { unknown: -1, none: -2 } as const;

/**
 * One side of a flow: what its own segments told. Plain numbers that change in place, since every packet of a capture comes by here.
 * As in Wireshark a sequence number of 0 stands for "not known yet".
 */
export class Half {
  /** The sequence number that its first segment began with, or that was concluded from the other side's acknowledgement. */
  base = 0;
  hasBase = false;
  /** The highest sequence number it sent, plus one, and when it got there. */
  nextSeq = 0;
  nextSeqNs = 0;
  /** Up to where the other side may acknowledge without a gap in the capture. */
  contiguousSeq = 0;
  lastAck = 0;
  lastAckNs = 0;
  /** As in the header, not shifted. */
  window = unknownWindow;
  /** Windows of a SYN are never shifted (RFC 7323 section 2.2). */
  windowFromSyn = false;
  windowShift: number = shift.unknown;
  /** Acknowledgements in a row that repeat one; -1: repeats are not to be counted again. */
  duplicateAcks = 0;
  lastMarks = 0;

  /** Its last segment but for RSTs: the last sign of life. 0: there is none. */
  lastFrame = 0;
  lastNs = 0;
  synFrame = 0;
  synNs = 0;
  finFrame = 0;
  finNs = 0;
  rstFrame = 0;
  rstNs = 0;
  /** What its own probes cost, their answers included. */
  keepalivePackets = 0;
  keepaliveBytes = 0;
  keepaliveAnswers = 0;
  windowProbes = 0;
  windowProbeFrame = 0;
  /** When its window became zero; NaN: it is open. */
  zeroSinceNs = Number.NaN;

  /** What it repeats without an answer; null: nothing. */
  silence: Silence | null = null;
  /** The silence that the other side's last segment ended. */
  broken: Silence | null = null;
  /** Keepalive's spacing as seen; null: no probe yet. */
  spacing: Spacing | null = null;
}

/** The shortest and longest waits before keepalive probes. */
export class Spacing {
  idleNs = new Range();
  intervalNs = new Range();
  /** The most probes in a row without an answer. */
  mostProbes = 0;
}

export class Range {
  least = Number.POSITIVE_INFINITY;
  most = Number.NEGATIVE_INFINITY;

  add(value: number): void {
    if (value < this.least) this.least = value;
    if (value > this.most) this.most = value;
  }

  get empty(): boolean {
    return this.least > this.most;
  }
}
