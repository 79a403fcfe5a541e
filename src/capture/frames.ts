import { mark, milliseconds, type Side } from "./events.js";
import type { Flow } from "./flow.js";
import type { Segment } from "./segment.js";

/** One frame of a flow, with what is needed to draw it. */
export interface Frame {
  readonly frame: number;
  /** Since the capture's first frame. */
  readonly timeMs: number;
  readonly from: Side;
  /** TCP's control bits; 0 for an ICMP message. */
  readonly flags: number;
  /** Bytes of data. */
  readonly length: number;
  /** What the rules made of it, a bit for each of `eventKinds`. */
  readonly marks: number;
  /** The receiver's window was closed. */
  readonly windowClosed: boolean;
  /** What an ICMP message says, see `describeUnreachable`; -1: it is none. */
  readonly icmpCode: number;
}

/** A flow's first and last frames. */
export interface KeptFrames {
  readonly first: readonly Frame[];
  /** Frames between that were not kept. */
  readonly leftOut: number;
  readonly last: readonly Frame[];
}

/** Watches an analysis, packet by packet. */
export interface FrameWatcher {
  segment(flow: Flow, segment: Segment, marks: number, fromB: boolean): void;
  icmp(flow: Flow, segment: Segment, code: number, fromB: boolean): void;
}

/** Of a connection with a million segments these tell how it began and how it ended. */
const mostFirst = 200;
const mostLast = 800;

/** Keeps the frames of chosen flows, each known by the number of its first frame. */
export class FrameKeeper implements FrameWatcher {
  readonly #kept: ReadonlyMap<number, Keeping>;

  constructor(firstFrames: Iterable<number>) {
    this.#kept = new Map([...firstFrames].map((firstFrame) => [firstFrame, new Keeping()]));
  }

  segment(flow: Flow, segment: Segment, marks: number, fromB: boolean): void {
    const { frame, flags, length } = segment;
    const windowClosed = (fromB ? flow.a : flow.b).window === 0;
    this.#kept
      .get(flow.firstFrame)
      ?.add({ ...momentOf(frame, segment, fromB), flags, length, marks, windowClosed, icmpCode: -1 });
  }

  icmp(flow: Flow, segment: Segment, code: number, fromB: boolean): void {
    this.#kept.get(flow.firstFrame)?.add({
      ...momentOf(segment.frame, segment, fromB),
      flags: 0,
      length: 0,
      marks: mark.icmpUnreachable,
      windowClosed: false,
      icmpCode: code,
    });
  }

  /** @throws Error for a flow that was not chosen. */
  of(firstFrame: number): KeptFrames {
    const keeping = this.#kept.get(firstFrame);
    if (keeping === undefined) throw new Error(`the flow of frame ${firstFrame} was not chosen`);
    return keeping.frames();
  }
}

/** The last frames stand in a ring. */
class Keeping {
  readonly #first: Frame[] = [];
  readonly #ring: Frame[] = [];
  #behindFirst = 0;

  add(frame: Frame): void {
    if (this.#first.length < mostFirst) this.#first.push(frame);
    else this.#ring[this.#behindFirst++ % mostLast] = frame;
  }

  frames(): KeptFrames {
    const oldest = this.#behindFirst % mostLast;
    const full = this.#behindFirst > mostLast;
    return {
      first: this.#first,
      leftOut: Math.max(0, this.#behindFirst - mostLast),
      last: full ? [...this.#ring.slice(oldest), ...this.#ring.slice(0, oldest)] : this.#ring,
    };
  }
}

function momentOf(
  frame: number,
  { timeNs }: Segment,
  fromB: boolean,
): Pick<Frame, "frame" | "timeMs" | "from"> {
  return { frame, timeMs: milliseconds(timeNs), from: fromB ? "b" : "a" };
}
