import type { CaptureVerdict, FlowEvent, FlowReport, Side } from "../../capture/index.js";
import type { SequenceItem, SequenceNote, SilentSpan } from "../../diagram/sequence.js";
import { formatDuration } from "../../plan/duration.js";

/** Ends that nobody had to notice. */
const inOrder: ReadonlySet<string> = new Set(["closed", "local", "evicted"]);

/** From when the peer was last heard to when that was noticed, since the capture's first frame; null: nothing died. */
export function silentSpan({ verdict }: FlowReport, startedAt: number): SilentSpan | null {
  if (verdict === null || verdict.detectedAfterMs === null || inOrder.has(verdict.state)) return null;
  const untilMs = verdict.at - startedAt;
  // An unresponsive peer is heard to the end: what counts is since when it takes nothing.
  const sinceMs = verdict.state === "unresponsive" ? verdict.detectedAfterMs : verdict.lastHeardMs;
  const fromMs = sinceMs === null ? null : untilMs - sinceMs;
  return { fromMs, untilMs, side: verdict.by };
}

/** What the verdict adds to a timeline: when the peer was last heard, and when and by what that was noticed. */
export function verdictNotes(flow: FlowReport, span: SilentSpan | null): SequenceNote[] {
  const { verdict } = flow;
  if (verdict === null || span === null) return [];
  const peer: Side = span.side === "a" ? "b" : "a";
  const beginning =
    verdict.state === "unresponsive" ? `${peer} takes no more data` : `last heard from ${peer}`;
  const heard: SequenceNote[] =
    span.fromMs === null ? [] : [{ type: "note", timeMs: span.fromMs, text: beginning, tone: "heard" }];
  const text = `${verdict.state}: ${noticedWords(verdict, span.side)}`;
  return [...heard, { type: "note", timeMs: span.untilMs, text, tone: "noticed" }];
}

function noticedWords({ detectedAfterMs, timer, givenUp }: CaptureVerdict, side: Side): string {
  const after = formatDuration(detectedAfterMs);
  if (!givenUp) return `${side} was still trying after ${after}, when the capture ended`;
  return `noticed by ${side} after ${after}${timer === "none" ? "" : `, by the ${timer} timer`}`;
}

/** Notes put among items, each behind what happened at the same time. */
export function withNotes(items: readonly SequenceItem[], notes: readonly SequenceItem[]): SequenceItem[] {
  const all = [...items];
  for (const item of notes) {
    const behind = all.findLastIndex(({ timeMs }) => timeMs <= item.timeMs + sameMs);
    all.splice(behind + 1, 0, item);
  }
  return all;
}

/** Sums and differences of times are off by less than this. */
const sameMs = 0.001;

/** The events of a flow, one item a frame. */
export function eventItems(events: readonly FlowEvent[]): SequenceItem[] {
  const items: SequenceItem[] = [];
  for (const [index, { frame, timeMs, from }] of events.entries()) {
    if (events[index - 1]?.frame === frame) continue;
    const kinds: string[] = [];
    for (let at = index; events[at]?.frame === frame; at++) kinds.push((events[at] as FlowEvent).kind);
    const what = kinds.join(" + ");
    items.push({ type: "frame", timeMs, from, look: "data", what, label: what, frame });
  }
  return items;
}
