/** One of the two ends of a connection. */
export type Side = "a" | "b";

/** How a frame is drawn; what it is in TCP's words, `what` says. */
export type Look = "open" | "data" | "ack" | "probe" | "answer" | "again" | "close" | "reset" | "icmp";

/** A frame: an arrow from one lifeline to the other. Times of all items are on one axis, milliseconds from its zero. */
export interface SequenceFrame {
  readonly type: "frame";
  readonly timeMs: number;
  readonly from: Side;
  readonly look: Look;
  /** By what name frames like it are counted where they are left out, e.g. `keep-alive`. */
  readonly what: string;
  /** Along the arrow. */
  readonly label: string;
  /** Its number in the capture; null: not from a capture. */
  readonly frame: number | null;
  /** `lost`: it is known not to have arrived; `unanswered`: nothing came back. */
  readonly fate?: "lost" | "unanswered";
  /** Never left out, however many there are like it. */
  readonly keep?: boolean;
}

/** Something that is not a frame: a cable pulled, a program told. */
export interface SequenceNote {
  readonly type: "note";
  readonly timeMs: number;
  readonly text: string;
  readonly tone: "plain" | "fault" | "heal" | "heard" | "noticed";
}

/** Frames that are not drawn, counted by what they are. */
export interface SequenceElision {
  readonly type: "elided";
  readonly timeMs: number;
  readonly untilMs: number;
  readonly counts: ReadonlyMap<string, number>;
}

export type SequenceItem = SequenceFrame | SequenceNote | SequenceElision;

/** A lifeline's head. */
export interface Lifeline {
  /** What the side is called, e.g. `a, opened the connection`. */
  readonly name: string;
  readonly address: string;
  readonly port: number;
}

/** From when the other side was silent until it was noticed. */
export interface SilentSpan {
  /** null: it was never heard; the span begins with the first item. */
  readonly fromMs: number | null;
  readonly untilMs: number;
  /** The side that noticed. */
  readonly side: Side;
}

/** All that a sequence diagram shows. */
export interface Sequence {
  /** Unique on the page: letters, digits and hyphens. */
  readonly id: string;
  readonly title: string;
  /** What the picture says, for those who do not see it. */
  readonly description: string;
  readonly a: Lifeline;
  readonly b: Lifeline;
  /** One line each, above the lifelines. */
  readonly settings: readonly string[];
  /** In the order of time. */
  readonly items: readonly SequenceItem[];
  readonly span: SilentSpan | null;
}
