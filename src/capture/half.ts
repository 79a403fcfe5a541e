import { noTime } from "./no-time.js";
import type { Keepalive } from "./keepalive.js";
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
  nextSeqNs = noTime;
  /** Up to where the other side may acknowledge without a gap in the capture. */
  contiguousSeq = 0;
  lastAck = 0;
  lastAckNs = noTime;
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
  lastNs = noTime;
  synFrame = 0;
  synNs = noTime;
  finFrame = 0;
  finNs = noTime;
  rstFrame = 0;
  rstNs = noTime;
  windowProbes = 0;
  windowProbeFrame = 0;
  /** When its window became zero; NaN: it is open. */
  zeroSinceNs = Number.NaN;

  /** Its own probes; null: it sent none. */
  keepalive: Keepalive | null = null;
  /** What it last repeated, answered since or not; begun anew in place. null: nothing. */
  repeated: Silence | null = null;

  /** What it repeats without an answer; null: nothing. */
  get silence(): Silence | null {
    return this.repeated?.answeredFrame === 0 ? this.repeated : null;
  }

  /** The silence that the other side's last segment ended; null: that segment ended none. */
  brokenBy(other: Half): Silence | null {
    const { repeated } = this;
    return repeated !== null && repeated.answeredFrame !== 0 && repeated.answeredFrame === other.lastFrame
      ? repeated
      : null;
  }
}
