import { mark } from "./events.js";
import type { Flow } from "./flow.js";
import { type Half, shift } from "./half.js";
import { control, flag, type Segment } from "./segment.js";

/** A repeated acknowledgement counts as the cause of a retransmission this long. */
const fastRetransmitNs = 20_000_000;
/** What is out of order by less than a round trip was reordered, not sent again; this where the round trip is not known. */
const unknownRttNs = 3_000_000;

/** Sequence numbers wrap around: the sign of the difference tells which is later (RFC 9293 section 3.4). */
const before = (a: number, b: number): boolean => ((a - b) | 0) < 0;

/**
 * What a segment is, by the rules of Wireshark 4.0, and what is to be remembered of it. The rules guess at times; docs/capture.md
 * says where. `from` sent the segment, `to` is its peer. A port that was used again is a flow of its own and not seen here.
 */
export function markSegment(flow: Flow, from: Half, to: Half, segment: Segment): number {
  rememberBases(from, to, segment);
  // A SYN that is sent again takes back what came behind a gap.
  if ((segment.flags & (flag.syn | flag.ack)) === flag.syn) from.nextSeq = from.contiguousSeq;
  let marks = markWindowAndProbe(from, to, segment);
  if (segment.ack !== from.lastAck) from.duplicateAcks = 0;
  noticeUnseen(to, segment);
  if ((segment.length > 0 || (segment.flags & (flag.syn | flag.fin)) !== 0) && (marks & mark.keepAlive) === 0)
    marks |= markRepetition(flow, from, to, segment);
  remember(from, segment, marks);
  rememberHandshake(flow, from, to, segment);
  return marks;
}

/** An acknowledgement shows where the other side's numbers must have begun, if its SYN was not seen. */
function rememberBases(from: Half, to: Half, { seq, ack, flags }: Segment): void {
  // A SYN's answer is believed even where it contradicts what was concluded before.
  if (!from.hasBase || (flags & (flag.syn | flag.ack)) === (flag.syn | flag.ack)) {
    from.base = (flags & flag.syn) === 0 ? (seq - 1) | 0 : seq;
    from.hasBase = true;
  }
  if (!to.hasBase && (flags & flag.ack) !== 0) {
    to.base = (ack - 1) | 0;
    to.hasBase = true;
  }
}

function markWindowAndProbe(from: Half, to: Half, segment: Segment): number {
  const { seq, length, window } = segment;
  if (length === 1 && seq === from.nextSeq && to.window === 0) return mark.zeroWindowProbe;
  if ((segment.flags & control) !== 0) return 0;
  let marks = window === 0 ? mark.zeroWindow : 0;
  if (length <= 1 && seq === ((from.nextSeq - 1) | 0)) marks |= mark.keepAlive;
  if (length > 0) return reachesWindowEnd(to, segment) ? marks | mark.windowFull : marks;
  // From here on: a bare acknowledgement that repeats the one before it.
  if (window !== from.window || seq !== from.nextSeq || segment.ack !== from.lastAck) return marks;
  if (window === 0)
    return (to.lastMarks & mark.zeroWindowProbe) === 0 ? marks : marks | mark.zeroWindowProbeAck;
  if ((to.lastMarks & mark.keepAlive) !== 0) return marks | mark.keepAliveAck;
  from.duplicateAcks = from.duplicateAcks < 0 ? 1 : from.duplicateAcks + 1;
  return marks | mark.duplicateAck;
}

function reachesWindowEnd(to: Half, { seq, length }: Segment): boolean {
  if (to.windowShift === shift.unknown) return false;
  const scale = to.windowFromSyn ? 0 : Math.max(0, to.windowShift);
  return ((seq + length) | 0) === ((to.lastAck + (to.window << scale)) | 0);
}

/**
 * An acknowledgement of bytes the capture never saw. It counts only for the repeated acknowledgements of the other side: such a
 * flow's are no sign of loss.
 */
function noticeUnseen(to: Half, { ack, flags }: Segment): void {
  if (to.contiguousSeq === 0 || (flags & flag.ack) === 0 || !before(to.contiguousSeq, ack)) return;
  if (before(to.contiguousSeq, to.nextSeq)) to.contiguousSeq = to.nextSeq;
  else to.duplicateAcks = -1;
}

/** Data, a SYN or a FIN that does not begin where the sender had got to. */
function markRepetition(flow: Flow, from: Half, to: Half, segment: Segment): number {
  const { seq, length, timeNs } = segment;
  if (length > 0 && to.lastAck !== 0 && !before(to.lastAck, (seq + length) | 0))
    return mark.spuriousRetransmission;
  if (from.nextSeq === 0 || !before(seq, from.nextSeq)) return 0;
  // One byte back and more behind it: the byte was a window probe, the rest is new.
  if (length > 1 && seq === ((from.nextSeq - 1) | 0)) return 0;
  if (to.duplicateAcks >>> 0 >= 2 && to.lastAck === seq && within(timeNs - to.lastAckNs, fastRetransmitNs))
    return mark.fastRetransmission;
  const roundTripNs = flow.firstRttNs > 0 ? flow.firstRttNs : unknownRttNs;
  const reordered = within(timeNs - from.nextSeqNs, roundTripNs) && from.nextSeq !== endOf(segment);
  return reordered ? mark.outOfOrder : mark.retransmission;
}

/** Time stamps that go backwards are no short time. */
function within(ns: number, limitNs: number): boolean {
  return ns >= 0 && ns < limitNs;
}

/** The sequence number behind the segment; SYN and FIN take one. */
function endOf({ seq, length, flags }: Segment): number {
  return (seq + length + ((flags & (flag.syn | flag.fin)) === 0 ? 0 : 1)) | 0;
}

function remember(from: Half, segment: Segment, marks: number): void {
  const end = endOf(segment);
  if ((marks & mark.zeroWindowProbe) === 0) {
    if (from.nextSeq === 0 || before(from.nextSeq, end)) {
      from.nextSeq = end;
      from.nextSeqNs = segment.timeNs;
    }
    if (from.contiguousSeq === 0 || segment.seq === from.contiguousSeq) from.contiguousSeq = from.nextSeq;
  }
  from.window = segment.window;
  from.windowFromSyn = (segment.flags & flag.syn) !== 0;
  from.lastAck = segment.ack;
  from.lastAckNs = segment.timeNs;
  from.lastMarks = marks;
}

function rememberHandshake(flow: Flow, from: Half, to: Half, { flags, timeNs, windowShift }: Segment): void {
  if ((flags & flag.syn) !== 0) {
    if ((flags & flag.ack) === 0) flow.synNs = timeNs;
    rememberShift(from, to, windowShift, (flags & flag.ack) !== 0);
  } else if ((flags & flag.ack) !== 0 && flow.firstRttNs === 0 && !Number.isNaN(flow.synNs)) {
    flow.firstRttNs = timeNs - flow.synNs;
  }
}

/** Window scaling holds only if both SYNs offer it (RFC 7323 section 2.2). */
function rememberShift(from: Half, to: Half, offered: number, isAnswer: boolean): void {
  if (offered === shift.unknown) {
    // A later SYN without the option takes nothing back.
    if (from.windowShift !== shift.unknown) return;
    from.windowShift = shift.none;
    to.windowShift = shift.none;
  } else from.windowShift = isAnswer && to.windowShift === shift.none ? shift.none : offered;
}
