import { html, type Markup, verbatim } from "./html.js";
import {
  type Box,
  columns,
  type Layout,
  layOut,
  type PlacedArrow,
  type PlacedNote,
  type PlacedText,
} from "./layout.js";
import type { Sequence } from "./sequence.js";

/** Arrows fall a little: nothing arrives the moment it is sent. */
const fallPx = 3;
const headPx = 8;
const crossPx = 5;
/** How far an arrow gets that is lost. */
const lostAt = 0.75;
const bandPx = 10;
/** On a sheet of paper a drawing that is taller could only be read with a glass. */
const longPx = 1_700;

/**
 * A sequence diagram as SVG: time flows down between two lifelines. Its classes are styled by `diagramStyle`.
 *
 * @example drawSequence(sequence).text // <svg viewBox="0 0 760 412" …
 */
export function drawSequence(sequence: Sequence): Markup {
  const layout = layOut(sequence);
  const { id } = sequence;
  return html`<svg xmlns="http://www.w3.org/2000/svg" class="sequence${layout.height > longPx ? " long" : ""}" viewBox="0 0 ${columns.width} ${layout.height}" width="${columns.width}" height="${layout.height}" role="img" aria-labelledby="${id}-title ${id}-desc">
<title id="${id}-title">${sequence.title}</title>
<desc id="${id}-desc">${sequence.description}</desc>
${band(layout)}${lifelines(layout)}
${layout.heads.map((head) => rectangle(head, "head-box"))}
${layout.arrows.map(arrow)}
${layout.notes.map(noteBox)}
${layout.texts.map(textLine)}
</svg>`;
}

function band({ band: silent, lifelines: { bottom } }: Layout): Markup | null {
  if (silent === null) return null;
  const height = Math.max(2, Math.min(silent.bottom, bottom) - silent.top);
  const left = columns.a;
  const wide = { x: left, y: silent.top, width: columns.b - columns.a, height };
  const bar = { x: columns[silent.side] - bandPx / 2, y: silent.top, width: bandPx, height };
  return html`${rectangle(wide, "band")}${rectangle(bar, "band-bar")}
`;
}

/** Each lifeline, with a gap and two strokes where time was cut short. */
function lifelines({ lifelines: { top, bottom }, breaks }: Layout): Markup[] {
  return (["a", "b"] as const).map((side) => {
    const x = columns[side];
    let path = `M${x} ${round(top)}`;
    for (const middle of breaks)
      path += ` V${round(middle - 4)} M${x - 6} ${round(middle - 1)} l12 -6 M${x - 6} ${round(middle + 7)} l12 -6 M${x} ${round(middle + 4)}`;
    return html`<path class="lifeline" d="${path} V${round(bottom)}"/>`;
  });
}

function arrow({ from, y, look, fate }: PlacedArrow): Markup {
  const start = columns[from];
  const end = columns[from === "a" ? "b" : "a"];
  const reach = fate === "lost" ? lostAt : 1;
  const tip = start + (end - start) * reach;
  const towards = Math.sign(end - start);
  const y1 = y - fallPx;
  const y2 = y - fallPx + 2 * fallPx * reach;
  const shaftEnd = fate === "lost" ? tip : tip - towards * headPx;
  const shaft = html`<line x1="${start}" y1="${round(y1)}" x2="${round(shaftEnd)}" y2="${round(y2)}"/>`;
  const point = fate === "lost" ? cross(tip, y2) : head(tip, y2, towards);
  const ended = look === "reset" && fate !== "lost" ? cross(end + towards * 1, y2) : null;
  return html`<g class="${look}${fate === "unanswered" ? " unanswered" : ""}">${shaft}${point}${ended}</g>
`;
}

function head(x: number, y: number, towards: number): Markup {
  const back = x - towards * headPx;
  return html`<polygon points="${x},${round(y)} ${back},${round(y - 4)} ${back},${round(y + 4)}"/>`;
}

/** Where something ended. */
function cross(x: number, y: number): Markup {
  const [left, right, top, bottom] = [x - crossPx, x + crossPx, y - crossPx, y + crossPx].map(round);
  return html`<path class="cross" d="M${left ?? 0} ${top ?? 0} L${right ?? 0} ${bottom ?? 0} M${left ?? 0} ${bottom ?? 0} L${right ?? 0} ${top ?? 0}"/>`;
}

function noteBox({ box, tone }: PlacedNote): Markup {
  return rectangle(box, `note-box ${tone}`);
}

function rectangle({ x, y, width, height }: Box, className: string): Markup {
  return html`<rect class="${className}" x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${round(height)}" rx="4"/>`;
}

const anchors = { start: null, middle: ` text-anchor="middle"`, end: ` text-anchor="end"` } as const;

function textLine({ text, style, anchor, x, baseline }: PlacedText): Markup {
  const anchored = anchors[anchor];
  return html`<text class="${style}" x="${round(x)}" y="${round(baseline)}"${anchored === null ? null : verbatim(anchored)}>${text}</text>
`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
