import { DeadpeerError } from "../errors.js";
import { Analysis } from "./analysis.js";
import { type EventLog, milliseconds } from "./events.js";
import type { Flow } from "./flow.js";
import type { FrameWatcher } from "./frames.js";
import { type CaptureSource, noPace, type Pace, pour } from "./input.js";
import { CaptureReader, type Problem } from "./reader.js";
import { type FlowEvents, type FlowReport, type FlowSummary, summaryOf, withEvents } from "./report.js";

/** Packets that belong to no TCP flow. */
export interface Skipped {
  readonly reason: string;
  readonly packets: number;
}

/** A whole capture explained: what `explain --json` prints. */
export interface Explanation {
  /** All packets of the capture. */
  readonly packets: number;
  /** Those that belong to no flow. */
  readonly skipped: number;
  readonly skippedFor: readonly Skipped[];
  /** When the first frame was taken, milliseconds since 1970. */
  readonly startedAt: number;
  readonly durationMs: number;
  /** In the order of their first frames; empty if they were given to `onFlow` or `onSummary`. */
  readonly flows: readonly FlowReport[];
  /** Why the account may be incomplete. */
  readonly problems: readonly Problem[];
}

export interface ExplainOptions {
  /**
   * Takes each flow as soon as it is complete, instead of all of them at the end: for captures with more flows than fit into memory.
   */
  readonly onFlow?: (flow: FlowReport) => void;
  /** The same for whoever has a quicker way with events than a list of objects; in place of `onFlow`. */
  readonly onSummary?: (flow: FlowSummary, events: FlowEvents) => void;
  /** Lets a slow reader of what is written about the flows hold everything up. */
  readonly pace?: Pace;
  /** Is shown every frame that belongs to a flow. */
  readonly watcher?: FrameWatcher;
}

/**
 * Explains a capture: each connection with its events, keepalive as it must be set, and the verdict. Reads pcap and pcapng, plain
 * or gzip-compressed; an input that is cut off, or damaged behind its first packet, is a problem in the answer, no error.
 *
 * @throws DeadpeerError `bad-capture`: no capture file; whatever the source throws.
 * @example
 * const { flows } = await explainCapture(createReadStream("hang.pcap"));
 * for (const { a, b, verdict } of flows) if (verdict !== null) console.log(a, b, verdict.sentence);
 */
export async function explainCapture(
  source: CaptureSource,
  options: ExplainOptions = {},
): Promise<Explanation> {
  const found: FlowReport[] = [];
  const { onFlow, onSummary, pace = noPace } = options;
  const keep = (report: FlowReport): void => void found.push(report);
  const take = (flow: Flow, events: EventLog): void => {
    const span = { firstMs: reader.firstMs, lastNs: analysis.lastNs };
    const summary = summaryOf(flow, span);
    if (onSummary === undefined) (onFlow ?? keep)(withEvents(summary, events.read(flow.eventHead)));
    else onSummary(summary, { tell: (taker) => events.tell(flow.eventHead, taker) });
  };
  const analysis = new Analysis(take, options.watcher);
  const reader = new CaptureReader(analysis);
  const problems = await pour(source, reader, pace).catch((error: unknown) => [
    damageBehind(analysis, error),
  ]);
  for (const flow of analysis.left()) {
    take(flow, analysis.events);
    const wait = pace();
    if (wait !== null) await wait;
  }
  if (analysis.events.leftOut > 0)
    problems.push({
      code: "events-left-out",
      message: `${analysis.events.leftOut} segments with events found no room in the list; verdicts take them into account`,
    });
  const skippedFor = [...analysis.skipped].map(([reason, packets]) => ({ reason, packets }));
  return {
    packets: analysis.packets,
    skipped: skippedFor.reduce((sum, { packets }) => sum + packets, 0),
    skippedFor,
    startedAt: reader.firstMs,
    durationMs: milliseconds(analysis.lastNs),
    flows: found.sort((one, other) => one.firstFrame - other.firstFrame),
    problems,
  };
}

/** What was whole before the damage is worth an account. */
function damageBehind({ packets }: Analysis, error: unknown): Problem {
  if (packets > 0 && error instanceof DeadpeerError && error.code === "bad-capture")
    return { code: "damaged", message: `${error.message}; the ${packets} packets before it were used` };
  throw error;
}
