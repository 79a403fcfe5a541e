import type { Keepalive } from "./keepalive.js";
import { booleanFields, doubleFields, int32Fields, partWords, RowView, uint32Fields } from "./rows.js";
import type { Silence } from "./silence.js";

/** The window of a side that nothing was heard of: no segment has it. */
const unknownWindow = -1;

/** Window scaling where there is no shift to speak of: the SYN was not seen, or one of the two did not offer it. */
export const shift = { unknown: -1, none: -2 } as const;

/**
 * One side of a flow: what its own segments told. A view of its part of the flow's row, since every packet of a capture comes by
 * here. As in Wireshark a sequence number of 0 stands for "not known yet"; so does a time of 0 or a frame of 0.
 */
export class Half extends RowView {
  /** The sequence number that its first segment began with, or that was concluded from the other side's acknowledgement. */
  declare base: number;
  declare hasBase: boolean;
  /** The highest sequence number it sent, plus one, and when it got there. */
  declare nextSeq: number;
  declare nextSeqNs: number;
  /** Up to where the other side may acknowledge without a gap in the capture. */
  declare contiguousSeq: number;
  declare lastAck: number;
  declare lastAckNs: number;
  /** As in the header, not shifted. */
  declare window: number;
  /** Windows of a SYN are never shifted (RFC 7323 section 2.2). */
  declare windowFromSyn: boolean;
  declare windowShift: number;
  /** Acknowledgements in a row that repeat one; -1: repeats are not to be counted again. */
  declare duplicateAcks: number;
  declare lastMarks: number;

  /** Its last segment but for RSTs: the last sign of life. 0: there is none. */
  declare lastFrame: number;
  declare lastNs: number;
  declare synFrame: number;
  declare synNs: number;
  declare finFrame: number;
  declare finNs: number;
  declare rstFrame: number;
  declare rstNs: number;
  declare windowProbes: number;
  declare windowProbeFrame: number;
  /** When its window became zero; NaN: it is open. */
  declare zeroSinceNs: number;

  /** Of a row that is all zeros. */
  begin(): void {
    this.window = unknownWindow;
    this.windowShift = shift.unknown;
    this.zeroSinceNs = Number.NaN;
    this.keepalive = null;
    this.repeated = null;
  }

  /** Its own probes; null: it sent none. */
  get keepalive(): Keepalive | null {
    return this.slab.keepalives[this.word / partWords] as Keepalive | null;
  }

  set keepalive(keepalive: Keepalive | null) {
    this.slab.keepalives[this.word / partWords] = keepalive;
  }

  /** What it last repeated, answered since or not; begun anew in place. null: nothing. */
  get repeated(): Silence | null {
    return this.slab.silences[this.word / partWords] as Silence | null;
  }

  set repeated(silence: Silence | null) {
    this.slab.silences[this.word / partWords] = silence;
  }

  /** What it repeats without an answer; null: nothing. */
  get silence(): Silence | null {
    const { repeated } = this;
    return repeated?.answeredFrame === 0 ? repeated : null;
  }

  /** The silence that the other side's last segment ended; null: that segment ended none. */
  brokenBy(other: Half): Silence | null {
    const { repeated } = this;
    return repeated !== null && repeated.answeredFrame !== 0 && repeated.answeredFrame === other.lastFrame
      ? repeated
      : null;
  }
}

// What a segment in order touches stands in front: one line of the processor's cache, and most of another.
int32Fields(Half, 0, ["base", "nextSeq", "contiguousSeq", "lastAck"]);
int32Fields(Half, 4, ["window", "windowShift", "duplicateAcks", "lastMarks"]);
booleanFields(Half, 8, ["hasBase", "windowFromSyn"]);
uint32Fields(Half, 10, ["lastFrame", "rstFrame", "synFrame", "finFrame", "windowProbes", "windowProbeFrame"]);
doubleFields(Half, 16, ["nextSeqNs", "lastAckNs", "lastNs", "zeroSinceNs", "synNs", "finNs", "rstNs"]);
