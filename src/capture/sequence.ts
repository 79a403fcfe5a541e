import type { Look, SequenceElision, SequenceFrame, SequenceItem } from "../diagram/sequence.js";
import { anyRetransmission, mark, type Side } from "./events.js";
import type { Frame, KeptFrames } from "./frames.js";
import { describeUnreachable } from "./icmp.js";
import { flag } from "./segment.js";

/**
 * A flow's frames as the items of a sequence diagram.
 *
 * @param keep frames that are never left out: those that prove something.
 */
export function sequenceItems(frames: KeptFrames, keep: ReadonlySet<number> = new Set()): SequenceItem[] {
  const drawn = (list: readonly Frame[]): SequenceFrame[] => list.map((frame) => drawnFrame(frame, keep));
  const items: SequenceItem[] = [...drawn(frames.first), ...gap(frames), ...drawn(frames.last)];
  markUnanswered(items);
  return items;
}

function gap({ first, leftOut, last }: KeptFrames): SequenceElision[] {
  if (leftOut === 0) return [];
  const timeMs = first.at(-1)?.timeMs ?? 0;
  return [
    { type: "elided", timeMs, untilMs: last[0]?.timeMs ?? timeMs, counts: new Map([["frame", leftOut]]) },
  ];
}

function drawnFrame(frame: Frame, keep: ReadonlySet<number>): SequenceFrame {
  const { look, what, label = what } = describe(frame);
  const window = (frame.marks & mark.zeroWindow) !== 0 ? ", its window is closed" : "";
  const full = (frame.marks & mark.windowFull) !== 0 ? ", fills the window" : "";
  return {
    type: "frame",
    timeMs: frame.timeMs,
    from: frame.from,
    look,
    what,
    label: label + window + full,
    frame: frame.frame,
    ...(keep.has(frame.frame) ? { keep: true } : {}),
  };
}

interface Description {
  readonly look: Look;
  readonly what: string;
  readonly label?: string;
}

/** What a frame is, in the words of the event kinds; the first that applies says most. */
function describe({ flags, marks, length, windowClosed, icmpCode }: Frame): Description {
  const bytes = length === 1 ? "1 byte" : `${length} bytes`;
  if ((marks & mark.icmpUnreachable) !== 0)
    return { look: "icmp", what: "ICMP", label: `ICMP: ${describeUnreachable(icmpCode).words}` };
  if ((flags & flag.rst) !== 0) return { look: "reset", what: "RST" };
  if ((marks & anyRetransmission) !== 0)
    return {
      look: "again",
      what: "retransmission",
      label: `${retransmission(marks)}, ${sent(flags, bytes)}`,
    };
  if ((flags & flag.syn) !== 0) return { look: "open", what: (flags & flag.ack) === 0 ? "SYN" : "SYN, ACK" };
  if ((flags & flag.fin) !== 0)
    return { look: "close", what: "FIN", label: length === 0 ? "FIN" : `FIN, ${bytes}` };
  if ((marks & mark.zeroWindowProbe) !== 0) return { look: "probe", what: "zero-window probe" };
  if ((marks & mark.keepAlive) !== 0)
    // Linux's window probes are empty and look like keepalive (tcp_xmit_probe_skb); the closed window tells them apart.
    return { look: "probe", what: windowClosed ? "zero-window probe" : "keep-alive" };
  if ((marks & mark.keepAliveAck) !== 0) return { look: "answer", what: "keep-alive ACK" };
  if ((marks & mark.zeroWindowProbeAck) !== 0) return { look: "answer", what: "zero-window probe ACK" };
  if (length > 0)
    return {
      look: "data",
      what: "data",
      label: `${bytes}${(marks & mark.outOfOrder) === 0 ? "" : ", out of order"}`,
    };
  return { look: "ack", what: (marks & mark.duplicateAck) === 0 ? "ACK" : "duplicate ACK" };
}

function retransmission(marks: number): string {
  if ((marks & mark.fastRetransmission) !== 0) return "fast retransmission";
  return (marks & mark.spuriousRetransmission) === 0 ? "retransmission" : "spurious retransmission";
}

function sent(flags: number, bytes: string): string {
  if ((flags & flag.syn) !== 0) return "SYN";
  return (flags & flag.fin) === 0 ? bytes : "FIN";
}

/**
 * Says of frames that nothing came back: the sender repeated them, or it probed and never heard again before it gave up. Goes
 * backwards, since what comes later tells.
 */
function markUnanswered(items: SequenceItem[]): void {
  const next: Record<Side, "answer" | "repetition" | "nothing"> = { a: "nothing", b: "nothing" };
  for (let index = items.length - 1; index >= 0; index--) {
    const item = items[index];
    if (item?.type !== "frame") continue;
    const { from, look } = item;
    if (look === "icmp") continue;
    const repetition = look === "probe" || look === "again";
    const expectsAnswer = repetition || look === "data" || look === "open" || look === "close";
    const unanswered = next[from] === "repetition" || (next[from] === "nothing" && repetition);
    if (expectsAnswer && unanswered) items[index] = { ...item, fate: "unanswered" };
    // Whatever comes behind an RST answers nothing that was sent before it.
    if (look === "reset") next[from] = "nothing";
    else if (repetition) next[from] = "repetition";
    next[from === "a" ? "b" : "a"] = "answer";
  }
}
