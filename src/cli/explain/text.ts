import { explainCapture, type Explanation, type FlowReport } from "../../capture/index.js";
import { elide } from "../../diagram/elide.js";
import type { SequenceItem } from "../../diagram/sequence.js";
import { momentFormat } from "../../diagram/time-scale.js";
import { formatDuration } from "../../plan/duration.js";
import { counted } from "../counted.js";
import { paint, type Style, type Terminal, terminalOf, wrap } from "../output.js";
import { type Fact, factsOf, titleOf } from "./flow-facts.js";
import { Gathering, stateCounts, stateOf } from "./gather.js";
import type { Source } from "./source.js";
import { eventItems, silentSpan, verdictNotes, withNotes } from "./story.js";
import type { Wish } from "./wish.js";

/** Lines of a timeline; the rest is counted. */
const mostLines = 16;
const labelWidth = 12;
const indent = "  ";

const styles: Readonly<Record<string, Style>> = {
  silent: "red",
  unresponsive: "red",
  unreachable: "red",
  reset: "yellow",
  closed: "green",
};

/** Reads a capture and writes what it says. */
export async function writeText(source: Source, wish: Wish, out: NodeJS.WriteStream): Promise<Explanation> {
  const gathering = new Gathering(wish);
  const explanation = await explainCapture(source.chunks, { onFlow: (flow) => gathering.add(flow) });
  out.write(textReport(source.name, explanation, gathering, terminalOf(out)));
  return explanation;
}

/** A capture for people: what was in it, then connection by connection. */
function textReport(
  name: string,
  explanation: Explanation,
  gathering: Gathering,
  terminal: Terminal,
): string {
  const shown = gathering.shown();
  const sections = [
    [wrap(terminal, headline(name, explanation, gathering)), ...passedOver(explanation)].join("\n"),
    ...shown.map((flow) => flowText(flow, explanation, terminal)),
    ...rest(shown.length, gathering.wished),
  ];
  return `${sections.join("\n\n")}\n`;
}

/** What was captured, in one line. */
export function headline(name: string, { packets, durationMs }: Explanation, gathering: Gathering): string {
  const { total, wished } = gathering;
  const those = wished === total ? "" : `; asked for: ${wished}`;
  const counts = wished === 0 ? "" : `: ${stateCounts(gathering)}`;
  return `${name}: ${counted(packets, "packet")} over ${formatDuration(durationMs)}, ${counted(total, "connection")}${those}${counts}`;
}

/** What was not looked at. */
export function passedOver({ skipped, skippedFor }: Explanation): string[] {
  if (skipped === 0) return [];
  const reasons = skippedFor.map(({ reason, packets }) => `${packets} ${reason}`).join(", ");
  return [`${counted(skipped, "packet")} passed over: ${reasons}`];
}

/** What is not shown. */
export function rest(shown: number, wished: number): string[] {
  if (wished === shown) return [];
  const how = "--all shows every one, --port and --flow choose";
  return [
    shown === 0
      ? `Nobody died unheard in ${counted(wished, "connection")}; ${how}`
      : `${counted(wished - shown, "more connection")}; ${how}`,
  ];
}

function flowText(flow: FlowReport, { startedAt, durationMs }: Explanation, terminal: Terminal): string {
  const moment = momentFormat(durationMs);
  const state = stateOf(flow);
  const span = silentSpan(flow, startedAt);
  const title = paint(terminal, "bold", `#${flow.firstFrame}  ${titleOf(flow)}`);
  const style = styles[state];
  const word = style === undefined ? state : paint(terminal, style, state);
  const lines = [`${title}  ${word}`];
  if (flow.verdict !== null) lines.push(wrap(terminal, sentenceOf(flow), indent));
  for (const fact of factsOf(flow, moment, span)) lines.push(factText(fact, terminal));
  const items = withNotes(eventItems(flow.events), verdictNotes(flow, span));
  for (const item of elide(items, mostLines)) lines.push(itemText(item, moment, terminal));
  return lines.join("\n");
}

/** The verdict's sentence; what else it could be, where that is not certain. */
export function sentenceOf({ verdict }: FlowReport): string {
  if (verdict === null) return "";
  const doubt = verdict.couldAlsoBe.length === 0 ? "" : ` Could also be: ${verdict.couldAlsoBe.join(", ")}.`;
  return verdict.sentence + doubt;
}

function factText([label, text]: Fact, terminal: Terminal): string {
  const hanging = " ".repeat(indent.length + labelWidth);
  const wrapped = wrap(terminal, text, hanging).slice(hanging.length);
  return `${indent}${paint(terminal, "dim", label.padEnd(labelWidth))}${wrapped}`;
}

function itemText(item: SequenceItem, moment: (ms: number) => string, terminal: Terminal): string {
  const time = `${indent}${moment(item.timeMs).padStart(labelWidth)}  `;
  if (item.type === "note")
    return `${time}${paint(terminal, item.tone === "noticed" ? "red" : "green", `■ ${item.text}`)}`;
  if (item.type === "frame")
    return `${time}${item.from === "a" ? "a → b" : "a ← b"}  ${item.label}${paint(terminal, "dim", `  frame ${item.frame}`)}`;
  const counts = [...item.counts].map(([what, count]) => `${count} × ${what}`).join(", ");
  return paint(terminal, "dim", `${time}  ⋮    ${counts}, until ${moment(item.untilMs)}`);
}
