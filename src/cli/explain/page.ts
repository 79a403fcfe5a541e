import {
  explainCapture,
  type Explanation,
  FrameKeeper,
  type FlowReport,
  sequenceItems,
} from "../../capture/index.js";
import { drawSequence } from "../../diagram/draw.js";
import { html, type Markup } from "../../diagram/html.js";
import type { Sequence, Side } from "../../diagram/sequence.js";
import { momentFormat } from "../../diagram/time-scale.js";
import { mayWritePage, page, writePageTo } from "../html-page.js";
import { note } from "../note.js";
import { factsOf, settingsText, titleOf } from "./flow-facts.js";
import { Gathering, stateOf } from "./gather.js";
import { readAgain, type Source, withRereadable } from "./source.js";
import { silentSpan, verdictNotes, withNotes } from "./story.js";
import { headline, passedOver, rest, sentenceOf } from "./text.js";
import type { Wish } from "./wish.js";

/** A page with more diagrams is slow to open; nobody reads so many. */
const mostDrawn = 200;

/** Reads a capture twice, first to choose what to show, then for its frames, and writes the page. */
export async function writePage(source: Source, wish: Wish, path: string): Promise<Explanation> {
  mayWritePage(path);
  return withRereadable(source, async (rereadable) => {
    const gathering = new Gathering(wish);
    const explanation = await explainCapture(rereadable.chunks, { onFlow: (flow) => gathering.add(flow) });
    const shown = gathering.shown().slice(0, mostDrawn);
    const frames = new FrameKeeper(shown.map(({ firstFrame }) => firstFrame));
    if (shown.length > 0)
      await explainCapture(readAgain(rereadable.path), { onFlow: () => {}, watcher: frames });
    writePageTo(path, pageOf(source.name, explanation, gathering, shown, frames));
    if (path !== "-")
      note(`wrote ${path}: ${shown.length === 1 ? "1 connection" : `${shown.length} connections`}`);
    return explanation;
  });
}

function pageOf(
  name: string,
  explanation: Explanation,
  gathering: Gathering,
  shown: readonly FlowReport[],
  frames: FrameKeeper,
): string {
  const lines = [headline(name, explanation, gathering), ...passedOver(explanation)];
  const body = html`<h1>${name}</h1>
${lines.map((line) => html`<p>${line}</p>`)}
${explanation.problems.map(({ message }) => html`<p class="bad">${message}</p>`)}
<p class="dim">First frame at ${new Date(explanation.startedAt).toISOString()}; all times count from it. A connection's number is that of its first frame.</p>
${shown.length > 1 ? contents(shown) : null}
${shown.map((flow) => section(flow, explanation, frames))}
${rest(shown.length, gathering.wished).map((line) => html`<p class="dim">${line}</p>`)}`;
  return page(`${name}, explained by deadpeer`, body);
}

function contents(shown: readonly FlowReport[]): Markup {
  return html`<div class="scroll"><table>
<thead><tr><th class="number">#</th><th>connection</th><th>became</th><th>what happened</th></tr></thead>
<tbody>
${shown.map(
  (
    flow,
  ) => html`<tr><td class="number"><a href="#${idOf(flow)}">${flow.firstFrame}</a></td><td>${titleOf(flow)}</td><td>${stateWord(flow)}</td><td>${sentenceOf(flow)}</td></tr>
`,
)}</tbody></table></div>`;
}

function section(flow: FlowReport, explanation: Explanation, frames: FrameKeeper): Markup {
  const span = silentSpan(flow, explanation.startedAt);
  const facts = factsOf(flow, momentFormat(explanation.durationMs), span);
  return html`<section id="${idOf(flow)}">
<h2>#${flow.firstFrame} ${titleOf(flow)} ${stateWord(flow)}</h2>
<p>${sentenceOf(flow)}</p>
<dl>${facts.map(([label, text]) => html`<dt>${label}</dt><dd>${text}</dd>`)}</dl>
<figure>${drawSequence(flowSequence(flow, explanation, frames))}</figure>
</section>
`;
}

function flowSequence(flow: FlowReport, { startedAt }: Explanation, frames: FrameKeeper): Sequence {
  const span = silentSpan(flow, startedAt);
  const proof = new Set(flow.verdict?.proof.frames);
  const items = sequenceItems(frames.of(flow.firstFrame), proof);
  return {
    id: `${idOf(flow)}-drawn`,
    title: titleOf(flow),
    description: sentenceOf(flow) || "The connection did not end in this capture.",
    a: { name: nameOf(flow, "a"), ...flow.a },
    b: { name: nameOf(flow, "b"), ...flow.b },
    settings: flow.inferred.keepalive.map((keepalive) => `keepalive ${settingsText(flow, keepalive)}`),
    items: withNotes(items, verdictNotes(flow, span)),
    span,
  };
}

function nameOf({ opener }: FlowReport, side: Side): string {
  return opener === side ? `${side}, opened the connection` : side;
}

function idOf({ firstFrame }: FlowReport): string {
  return `flow-${firstFrame}`;
}

const tones: Readonly<Record<string, string>> = {
  silent: "bad",
  unresponsive: "bad",
  unreachable: "bad",
  reset: "warn",
  closed: "good",
};

function stateWord(flow: FlowReport): Markup {
  const state = stateOf(flow);
  return html`<span class="state ${tones[state] ?? "dim"}">${state}</span>`;
}
