/** What can happen in a flow, as Wireshark names it. The order is that of the bits in a segment's marks. */
export const eventKinds = [
  "syn",
  "fin",
  "reset",
  "keep-alive",
  "keep-alive-ack",
  "zero-window",
  "zero-window-probe",
  "zero-window-probe-ack",
  "window-full",
  "retransmission",
  "fast-retransmission",
  "spurious-retransmission",
  "duplicate-ack",
  "out-of-order",
  "icmp-unreachable",
] as const;

export type EventKind = (typeof eventKinds)[number];

/** One bit for each kind, so that a segment can be several things at once. */
export const mark = {
  syn: 1 << 0,
  fin: 1 << 1,
  reset: 1 << 2,
  keepAlive: 1 << 3,
  keepAliveAck: 1 << 4,
  zeroWindow: 1 << 5,
  zeroWindowProbe: 1 << 6,
  zeroWindowProbeAck: 1 << 7,
  windowFull: 1 << 8,
  retransmission: 1 << 9,
  fastRetransmission: 1 << 10,
  spuriousRetransmission: 1 << 11,
  duplicateAck: 1 << 12,
  outOfOrder: 1 << 13,
  icmpUnreachable: 1 << 14,
} as const;

/** Segments that carry old data or sequence space again. */
export const anyRetransmission = mark.retransmission | mark.fastRetransmission | mark.spuriousRetransmission;

/** Who did it: the flow's first sender is `a`. */
export type Side = "a" | "b";

export interface FlowEvent {
  /** Counted from 1 over the whole capture, as Wireshark does. */
  readonly frame: number;
  /** Since the capture's first frame. */
  readonly timeMs: number;
  readonly kind: EventKind;
  /** The sender. An ICMP message counts as coming from the side that could not be reached. */
  readonly from: Side;
}

/** Takes the events of a flow one by one; `kind` counts through `eventKinds`. */
export type EventTaker = (frame: number, timeMs: number, kind: number, fromB: boolean) => void;

const none = -1;

/**
 * The events of all flows in columns: 17 bytes each, against some hundred for an object. A flow's events are a chain through them.
 */
export class EventLog {
  #frames = new Uint32Array(1_024);
  #timesNs = new Float64Array(1_024);
  #next = new Int32Array(1_024);
  /** Marks and, in the top bit, the side. */
  #what = new Int32Array(1_024);
  #length = 0;
  #free = none;
  /** How many segments with events did not find room. */
  leftOut = 0;
  readonly #most: number;

  constructor(most: number) {
    this.#most = most;
  }

  /** Adds a segment's marks to the chain that ends in `tail`; returns the new tail, or `tail` if there is no more room. */
  add(tail: number, frame: number, timeNs: number, marks: number, fromB: boolean): number {
    const at = this.#room();
    if (at === none) {
      this.leftOut++;
      return tail;
    }
    this.#frames[at] = frame;
    this.#timesNs[at] = timeNs;
    this.#what[at] = fromB ? marks | (1 << 31) : marks;
    this.#next[at] = none;
    if (tail !== none) this.#next[tail] = at;
    return at;
  }

  /** Tells of the events of the chain that begins at `head`. */
  tell(head: number, take: EventTaker): void {
    for (let at = head; at !== none; at = this.#next[at] as number) {
      const what = this.#what[at] as number;
      const frame = this.#frames[at] as number;
      const timeMs = milliseconds(this.#timesNs[at] as number);
      // Bit by bit from the lowest one that is set; the topmost is the side.
      for (let bits = what & 0x7fffffff; bits !== 0; bits &= bits - 1)
        take(frame, timeMs, 31 - Math.clz32(bits & -bits), what < 0);
    }
  }

  /** The events of the chain that begins at `head`. */
  read(head: number): FlowEvent[] {
    const events: FlowEvent[] = [];
    this.tell(head, (frame, timeMs, kind, fromB) =>
      events.push({ frame, timeMs, kind: eventKinds[kind] as EventKind, from: fromB ? "b" : "a" }),
    );
    return events;
  }

  /** Gives the room of a chain back. */
  release(head: number, tail: number): void {
    if (head === none) return;
    this.#next[tail] = this.#free;
    this.#free = head;
  }

  #room(): number {
    if (this.#free !== none) {
      const at = this.#free;
      this.#free = this.#next[at] as number;
      return at;
    }
    if (this.#length === this.#most) return none;
    if (this.#length === this.#frames.length) this.#grow();
    return this.#length++;
  }

  #grow(): void {
    const length = Math.min(this.#length * 2, this.#most);
    this.#frames = copied(new Uint32Array(length), this.#frames);
    this.#timesNs = copied(new Float64Array(length), this.#timesNs);
    this.#next = copied(new Int32Array(length), this.#next);
    this.#what = copied(new Int32Array(length), this.#what);
  }
}

function copied<T extends Uint32Array | Int32Array | Float64Array>(larger: T, smaller: T): T {
  larger.set(smaller);
  return larger;
}

/** Nanoseconds as milliseconds, without digits that a double does not have, and without the sign of a zero. */
export function milliseconds(ns: number): number {
  return Math.round(ns) / 1e6 + 0;
}
