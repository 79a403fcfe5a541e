import type { FlowEvent, FlowReport, Side } from "../../capture/index.js";
import type { SequenceItem, SequenceNote, SilentSpan } from "../../diagram/sequence.js";
import { formatDuration } from "../../plan/duration.js";

/** From when the peer was last heard to when that was noticed, since the capture's first frame; null: nothing died. */
export function silentSpan({ verdict }: FlowReport, startedAt: number): SilentSpan | null {
  if (verdict === null || verdict.detectedAfterMs === null) return null;
  const untilMs = verdict.at - startedAt;
  const fromMs = verdict.lastHeardMs === null ? null : untilMs - verdict.lastHeardMs;
  return { fromMs, untilMs, side: verdict.by };
}

/** What the verdict adds to a timeline: when the peer was last heard, and when and by what that was noticed. */
export function verdictNotes(flow: FlowReport, span: SilentSpan | null): SequenceNote[] {
  const { verdict } = flow;
  if (verdict === null || span === null) return [];
  const peer: Side = span.side === "a" ? "b" : "a";
  const heard: SequenceNote[] =
    span.fromMs === null
      ? []
      : [{ type: "note", timeMs: span.fromMs, text: `last heard from ${peer}`, tone: "heard" }];
  const timer = verdict.timer === "none" ? "" : `, by the ${verdict.timer} timer`;
  const text = `${verdict.state}: noticed by ${span.side} after ${formatDuration(verdict.detectedAfterMs)}${timer}`;
  return [...heard, { type: "note", timeMs: span.untilMs, text, tone: "noticed" }];
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
