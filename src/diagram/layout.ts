import { formatDuration } from "../plan/duration.js";
import { elide } from "./elide.js";
import type {
  Lifeline,
  Look,
  Sequence,
  SequenceElision,
  SequenceFrame,
  SequenceItem,
  SequenceNote,
  Side,
} from "./sequence.js";
import { cutToWidth, textWidth, wrapToWidth } from "./text-fit.js";
import { type Gap, gapsBetween, momentFormat } from "./time-scale.js";

/** The drawing's fixed columns, in px: times, lifeline a, labels of arrows, lifeline b, frame numbers. */
export const columns = { width: 760, time: 84, a: 158, b: 602, frame: 620 } as const;
export const fontPx = { head: 13, text: 12, small: 11 } as const;

const margin = 4;
const frameRow = { height: 32, label: 14, arrow: 22 } as const;
const lineHeight = 16;
const notePadding = 6;
const noteWidth = 400;
const elisionHeight = 24;
/** Drawn at most; the rest is counted. A printed page has room for some 25. */
const mostItems = 90;
/** Sums and differences of times are off by less than this. */
const sameMs = 0.001;

export type TextStyle = "head" | "label" | "dim" | "time" | "note" | "elided";

/** A line of text and the box that it stays in. */
export interface PlacedText {
  readonly text: string;
  readonly style: TextStyle;
  readonly anchor: "start" | "middle" | "end";
  readonly x: number;
  readonly baseline: number;
  readonly box: Box;
}

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface PlacedArrow {
  readonly from: Side;
  readonly y: number;
  readonly look: Look;
  readonly fate: "arrived" | "lost" | "unanswered";
}

export interface PlacedNote {
  readonly box: Box;
  readonly tone: SequenceNote["tone"];
}

/** Where everything goes. */
export interface Layout {
  readonly height: number;
  readonly lifelines: { readonly top: number; readonly bottom: number };
  readonly heads: readonly Box[];
  readonly texts: readonly PlacedText[];
  readonly arrows: readonly PlacedArrow[];
  readonly notes: readonly PlacedNote[];
  /** The middles of the cuts through both lifelines. */
  readonly breaks: readonly number[];
  /** The silence, from its beginning to when it was noticed. */
  readonly band: { readonly top: number; readonly bottom: number; readonly side: Side } | null;
  /** What is drawn, after what only repeats was left out. */
  readonly items: readonly SequenceItem[];
}

/** Finds the place of everything in a sequence, row by row: two texts never share a row and a column. */
export function layOut(sequence: Sequence): Layout {
  return new Placing(sequence).layout();
}

class Placing {
  readonly #sequence: Sequence;
  readonly #items: readonly SequenceItem[];
  readonly #gaps: readonly Gap[];
  readonly #moment: (ms: number) => string;
  readonly #heads: Box[] = [];
  readonly #texts: PlacedText[] = [];
  readonly #arrows: PlacedArrow[] = [];
  readonly #notes: PlacedNote[] = [];
  readonly #breaks: number[] = [];
  /** The middle of each item's row. */
  readonly #middles: number[] = [];
  #y = margin;

  constructor(sequence: Sequence) {
    this.#sequence = sequence;
    this.#items = elide(sequence.items, mostItems);
    this.#gaps = gapsBetween(this.#items);
    this.#moment = momentFormat(Math.max(0, ...this.#items.map(endOf)));
  }

  layout(): Layout {
    this.#placeSettings();
    const headTop = this.#y;
    for (const side of ["a", "b"] as const) this.#placeHead(side, headTop);
    const top = this.#y;
    this.#y += 10;
    for (const [index, item] of this.#items.entries()) {
      this.#placeGap(this.#gaps[index] as Gap);
      this.#placeItem(item);
    }
    const bottom = this.#y + 10;
    return {
      height: Math.ceil(bottom + margin),
      lifelines: { top, bottom },
      heads: this.#heads,
      texts: this.#texts,
      arrows: this.#arrows,
      notes: this.#notes,
      breaks: this.#breaks,
      band: this.#band(top, bottom),
      items: this.#items,
    };
  }

  #placeSettings(): void {
    for (const setting of this.#sequence.settings)
      for (const line of wrapToWidth(setting, fontPx.text, columns.width - 2 * margin))
        this.#line(line, "label", "start", margin, fontPx.text);
    if (this.#sequence.settings.length > 0) this.#y += 8;
  }

  #placeHead(side: Side, top: number): void {
    const lifeline: Lifeline = this.#sequence[side];
    const centre = columns[side];
    const width = 2 * Math.min(centre - margin, columns.width - centre - margin);
    const height = 3 * lineHeight + 10;
    this.#heads.push({ x: centre - width / 2, y: top, width, height });
    this.#y = top + 4;
    const room = width - 8;
    this.#line(cutToWidth(lifeline.name, fontPx.head, room), "head", "middle", centre, fontPx.head);
    this.#line(cutToWidth(lifeline.address, fontPx.text, room), "label", "middle", centre, fontPx.text);
    this.#line(`port ${lifeline.port}`, "dim", "middle", centre, fontPx.small);
    this.#y = top + height;
  }

  #placeGap({ px, ms, broken }: Gap): void {
    if (broken) {
      this.#breaks.push(this.#y + px / 2);
      const y = this.#y;
      this.#y += px / 2 - lineHeight / 2;
      this.#line(waitText(ms), "elided", "middle", (columns.a + columns.b) / 2, fontPx.small);
      this.#y = y;
    }
    this.#y += px;
  }

  #placeItem(item: SequenceItem): void {
    if (item.type === "frame") this.#placeFrame(item);
    else if (item.type === "note") this.#placeNote(item);
    else this.#placeElision(item);
  }

  #placeFrame(frame: SequenceFrame): void {
    const top = this.#y;
    const arrowY = top + frameRow.arrow;
    this.#time(frame.timeMs, arrowY + 4);
    const room = columns.b - columns.a - 24;
    const fate = frame.fate === "unanswered" ? " · no answer" : frame.fate === "lost" ? " · lost" : "";
    const label = cutToWidth(frame.label + fate, fontPx.text, room);
    this.#text(label, "label", "middle", (columns.a + columns.b) / 2, top + frameRow.label, fontPx.text);
    if (frame.frame !== null)
      this.#text(`frame ${frame.frame}`, "dim", "start", columns.frame, arrowY + 4, fontPx.small);
    this.#arrows.push({ from: frame.from, y: arrowY, look: frame.look, fate: frame.fate ?? "arrived" });
    this.#middles.push(arrowY);
    this.#y = top + frameRow.height;
  }

  #placeNote({ timeMs, text, tone }: SequenceNote): void {
    const top = this.#y + 4;
    const centre = (columns.a + columns.b) / 2;
    const lines = wrapToWidth(text, fontPx.text, noteWidth - 2 * notePadding);
    const height = lines.length * lineHeight + 2 * notePadding;
    this.#notes.push({ box: { x: centre - noteWidth / 2, y: top, width: noteWidth, height }, tone });
    this.#time(timeMs, top + height / 2 + 4);
    this.#y = top + notePadding;
    for (const line of lines) this.#line(line, "note", "middle", centre, fontPx.text);
    this.#middles.push(top + height / 2);
    this.#y = top + height + 6;
  }

  #placeElision(elision: SequenceElision): void {
    const top = this.#y;
    const baseline = top + elisionHeight / 2 + 4;
    this.#time(elision.timeMs, baseline);
    const counts = [...elision.counts].map(([what, count]) => `${count} × ${what}`).join(", ");
    const text = `⋮ ${counts}, until ${this.#moment(elision.untilMs)}`;
    const room = columns.b - columns.a - 24;
    const centre = (columns.a + columns.b) / 2;
    this.#y += (elisionHeight - lineHeight) / 2;
    for (const line of wrapToWidth(text, fontPx.small, room))
      this.#line(line, "elided", "middle", centre, fontPx.small);
    this.#middles.push((top + this.#y) / 2);
    this.#y = Math.max(this.#y, top + elisionHeight) + 4;
  }

  #band(top: number, bottom: number): Layout["band"] {
    const { span } = this.#sequence;
    if (span === null) return null;
    const begins = span.fromMs === null ? top : this.#yAt(span.fromMs, bottom);
    return { top: begins, bottom: Math.max(begins, this.#yAt(span.untilMs, bottom)), side: span.side };
  }

  /** The last row that is not later. */
  #yAt(timeMs: number, bottom: number): number {
    let y = this.#middles[0] ?? bottom;
    for (const [index, item] of this.#items.entries())
      if (item.timeMs <= timeMs + sameMs) y = this.#middles[index] ?? y;
    return y;
  }

  #time(ms: number, baseline: number): void {
    this.#text(this.#moment(ms), "time", "end", columns.time, baseline, fontPx.small);
  }

  /** A line at the current height; goes on to the next. */
  #line(text: string, style: TextStyle, anchor: PlacedText["anchor"], x: number, size: number): void {
    this.#text(text, style, anchor, x, this.#y + 12, size);
    this.#y += lineHeight;
  }

  #text(
    text: string,
    style: TextStyle,
    anchor: PlacedText["anchor"],
    x: number,
    baseline: number,
    size: number,
  ): void {
    const width = textWidth(text, size);
    const left = anchor === "start" ? x : anchor === "middle" ? x - width / 2 : x - width;
    const box = { x: left, y: baseline - size * 0.8, width, height: size };
    this.#texts.push({ text, style, anchor, x, baseline, box });
  }
}

function endOf(item: SequenceItem): number {
  return item.type === "elided" ? item.untilMs : item.timeMs;
}

function waitText(ms: number): string {
  return `${formatDuration(ms)} of silence`;
}
