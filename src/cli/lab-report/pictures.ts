import { createReadStream, existsSync } from "node:fs";
import {
  type Explanation,
  explainCapture,
  FrameKeeper,
  type FlowReport,
  sequenceItems,
} from "../../capture/index.js";
import type { Sequence, SequenceItem, SequenceNote } from "../../diagram/sequence.js";
import type { LabEvent, ScenarioResult } from "../../lab/index.js";
import { formatDuration } from "../../plan/duration.js";
import type { Verdict } from "../../verdict/verdict.js";
import { silentSpan, withNotes } from "../explain/story.js";
import { settingsWords } from "./settings-words.js";
import { stepWords } from "./step-words.js";

/** Of many connections a few show what there is to see. */
const mostDrawn = 5;

type ProgramEvent = Extract<LabEvent, { source: "program" }>;
type Verdictive = ProgramEvent & { readonly verdict: Verdict };

/** The diagrams of a result, drawn from its capture: the connections that the scenario names. */
export async function picturesOf(result: ScenarioResult): Promise<Sequence[]> {
  // A capture that was kept once may be gone by now.
  if (result.pcap === null || !existsSync(result.pcap)) return [];
  const named = new Map(connections(result).map((event) => [event.local, event.connection]));
  const found: FlowReport[] = [];
  const explanation = await explainCapture(createReadStream(result.pcap), {
    onFlow: (flow) => {
      if (nameOf(flow, named) !== null && found.length < mostDrawn) found.push(flow);
    },
  });
  const frames = new FrameKeeper(found.map(({ firstFrame }) => firstFrame));
  await explainCapture(createReadStream(result.pcap), { onFlow: () => {}, watcher: frames });
  return found.map((flow) => picture(result, explanation, flow, nameOf(flow, named) ?? "", frames));
}

function connections({ observed }: ScenarioResult): (ProgramEvent & { event: "connected" })[] {
  return observed.filter(
    (event): event is ProgramEvent & { event: "connected" } =>
      event.source === "program" && event.event === "connected",
  );
}

function nameOf({ a, b }: FlowReport, named: ReadonlyMap<string, string>): string | null {
  return named.get(`${a.address} ${a.port}`) ?? named.get(`${b.address} ${b.port}`) ?? null;
}

function picture(
  result: ScenarioResult,
  explanation: Explanation,
  flow: FlowReport,
  connection: string,
  frames: FrameKeeper,
): Sequence {
  // The scenario's time 0 is the moment in which all connections stood, not the capture's first frame.
  const shiftMs = explanation.startedAt - result.startedAt;
  const proof = new Set(flow.verdict?.proof.frames);
  const items = sequenceItems(frames.of(flow.firstFrame), proof).map((item) => shifted(item, shiftMs));
  const span = silentSpan(flow, result.startedAt);
  const settings = result.connections.find(({ name }) => name === connection);
  return {
    id: `${result.name}-${result.family}-${flow.firstFrame}`,
    title: `${result.title}: the connection ${connection}`,
    description: result.outcome,
    a: { name: hostOf(result, flow.a.address), ...flow.a },
    b: { name: hostOf(result, flow.b.address), ...flow.b },
    settings: settings === undefined ? [] : [`${connection}: ${settingsWords(settings.settings)}`],
    items: withNotes(items, notes(result, flow, connection)),
    span,
  };
}

function shifted(item: SequenceItem, byMs: number): SequenceItem {
  const moved = { ...item, timeMs: item.timeMs + byMs };
  return moved.type === "elided" ? { ...moved, untilMs: moved.untilMs + byMs } : moved;
}

function hostOf({ hosts }: ScenarioResult, address: string): string {
  return hosts.find((host) => host.address === address)?.name ?? "elsewhere";
}

/** What the lab did, and what the programs at both ends made of the connection. */
function notes(
  { observed, connections: named }: ScenarioResult,
  flow: FlowReport,
  connection: string,
): SequenceNote[] {
  const others = new Set(named.map(({ name }) => name).filter((name) => name !== connection));
  const ends = new Set([flow.a, flow.b].map(({ address, port }) => `${address} ${port}`));
  const ours = new Set<string>();
  const found: SequenceNote[] = [];
  for (const event of observed) {
    if (event.source === "lab") {
      const { connection: meant } = (event.details ?? {}) as { readonly connection?: string };
      if (meant !== undefined && others.has(meant)) continue;
      const words = stepWords(event.action, event.details);
      if (words !== null) found.push({ type: "note", timeMs: event.atMs, ...words });
    } else if (event.source === "program") {
      if (event.event === "connected" || event.event === "accepted") {
        // Who accepts has one endpoint for all; that of who connects is this connection's own.
        const own = event.event === "connected" ? event.local : event.remote;
        if (ends.has(own)) ours.add(`${event.program} ${event.connection}`);
      } else if (event.event === "verdict" && ours.has(`${event.program} ${event.connection}`))
        found.push(verdictNote(event));
    }
  }
  return found;
}

function verdictNote({ atMs, host, verdict }: Verdictive): SequenceNote {
  const { state, detectedAfterMs, timer, errno } = verdict;
  const after = detectedAfterMs === null ? "" : ` after ${formatDuration(detectedAfterMs)}`;
  const by = timer === "none" ? "" : `, by the ${timer} timer`;
  const error = errno === null ? "" : ` (${errno})`;
  const inOrder = state === "closed" || state === "local" || state === "evicted";
  const text = `${host}: ${state}${inOrder ? "" : `, noticed${after}${by}`}${error}`;
  return { type: "note", timeMs: atMs, text, tone: inOrder ? "plain" : "noticed" };
}
