import { anyRetransmission, mark } from "./events.js";
import type { Flow } from "./flow.js";
import type { Half } from "./half.js";
import { Keepalive } from "./keepalive.js";
import { control, flag, type Segment } from "./segment.js";
import { Silence } from "./silence.js";

/** Marks of segments that a side only sends, or sends again, because it waits for the other. */
const waiting = mark.keepAlive | mark.zeroWindowProbe | anyRetransmission;

/**
 * Keeps the books on who waits for whom: what a side repeats without an answer, and how keepalive's probes are spaced. To be
 * called behind the rules, with the marks that they gave the segment.
 */
export function followLiveness(flow: Flow, from: Half, to: Half, segment: Segment, marks: number): void {
  const { flags, frame, timeNs } = segment;
  const isReset = (flags & flag.rst) !== 0;
  if (isReset) {
    if (from.rstFrame === 0) {
      from.rstFrame = frame;
      from.rstNs = timeNs;
    }
  } else {
    // An RST is no sign of life: it ends a silence only in the way that a verdict has to explain.
    hearFrom(to, marks, segment);
    if ((marks & waiting) !== 0) noticeWaiting(from, to, segment, marks);
    if ((flags & (flag.syn | flag.fin)) !== 0) noticeEnds(flow, from, to, segment);
    // Before its own handshake is complete a side sends nothing without SYN.
    if ((flags & flag.syn) === 0) flow.established = true;
    if ((flags & control) === 0) followWindow(from, segment);
    from.lastFrame = frame;
    from.lastNs = timeNs;
  }
}

/** A segment of the other side ends whatever this side was waiting for. */
function hearFrom(waiter: Half, marks: number, { frame, wireBytes }: Segment): void {
  const { repeated } = waiter;
  // Whoever sent an RST has given up: what comes later answers nothing.
  if (repeated === null || repeated.answeredFrame !== 0 || waiter.rstFrame !== 0) return;
  repeated.answeredFrame = frame;
  const { keepalive } = waiter;
  if (keepalive === null || (marks & mark.keepAliveAck) === 0) return;
  keepalive.packets++;
  keepalive.bytes += wireBytes;
}

function noticeWaiting(from: Half, to: Half, segment: Segment, marks: number): void {
  const silence = from.silence ?? beginSilence(from, to);
  silence.repeat(segment.frame, segment.timeNs);
  if ((marks & anyRetransmission) !== 0) silence.retransmits++;
  else if (to.window === 0) {
    // Linux probes a closed window with an empty segment one byte back (tcp_xmit_probe_skb), just as keepalive does.
    silence.windowProbes++;
    from.windowProbes++;
    from.windowProbeFrame = segment.frame;
  } else if (segment.length === 1 && to.lastAck === segment.seq) {
    // The byte was never acknowledged: a single byte of data sent again looks like keepalive to Wireshark.
    silence.retransmits++;
  } else noticeProbe(from, to, segment, silence);
}

function beginSilence(from: Half, to: Half): Silence {
  from.repeated ??= new Silence();
  from.repeated.begin(to.lastFrame, to.lastNs, from.lastNs);
  return from.repeated;
}

function noticeProbe(from: Half, to: Half, { timeNs, wireBytes }: Segment, silence: Silence): void {
  from.keepalive ??= new Keepalive();
  const { keepalive } = from;
  keepalive.packets++;
  keepalive.bytes += wireBytes;
  silence.probes++;
  if (silence.probes > keepalive.mostProbes) keepalive.mostProbes = silence.probes;
  // Linux counts from the last data or acknowledgement received (keepalive_time_elapsed), and both came in that segment.
  if (silence.probes > 1) keepalive.addInterval(silence.lastGapNs);
  else if (silence.retransmits === 0 && to.lastFrame > 0) keepalive.addIdle(timeNs - to.lastNs);
}

function noticeEnds(flow: Flow, from: Half, to: Half, { flags, frame, timeNs }: Segment): void {
  if ((flags & flag.fin) !== 0) {
    if (from.finFrame === 0) {
      from.finFrame = frame;
      from.finNs = timeNs;
    }
    return;
  }
  if (from.synFrame === 0) {
    from.synFrame = frame;
    from.synNs = timeNs;
  }
  if ((flags & flag.ack) !== 0) flow.opener ??= to === flow.a ? "a" : "b";
  else flow.opener ??= from === flow.a ? "a" : "b";
}

function followWindow(from: Half, { window, timeNs }: Segment): void {
  const wasOpen = Number.isNaN(from.zeroSinceNs);
  if (window === 0 && wasOpen) from.zeroSinceNs = timeNs;
  else if (window !== 0 && !wasOpen) from.zeroSinceNs = Number.NaN;
}
