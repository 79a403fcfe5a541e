import { formatIpv4, formatIpv6 } from "../kernel/addresses.js";
import { findEnding, type CaptureVerdict, type CaptureSpan } from "./ending.js";
import { type EventTaker, type FlowEvent, milliseconds } from "./events.js";
import type { Flow } from "./flow.js";
import { type Inferred, inferFrom } from "./inferred.js";

export interface FlowEndpoint {
  readonly address: string;
  readonly port: number;
}

/** One TCP connection as a capture shows it, but for its events. */
export interface FlowSummary {
  /** Who sent the first frame that was seen. */
  readonly a: FlowEndpoint;
  readonly b: FlowEndpoint;
  /** Who opened the connection; null: it is older than the capture. */
  readonly opener: "a" | "b" | null;
  /** The number of its first frame: no other flow has it. */
  readonly firstFrame: number;
  /** When that was, since the capture's first frame. */
  readonly startedMs: number;
  readonly frames: number;
  readonly inferred: Inferred;
  /** null: nothing ended, as far as the capture shows. */
  readonly verdict: CaptureVerdict | null;
}

/** One TCP connection as a capture shows it: an element of `explain --json`. */
export interface FlowReport extends FlowSummary {
  readonly events: readonly FlowEvent[];
}

/** A flow's events, to be asked for while the flow is told of and not later. */
export interface FlowEvents {
  tell(take: EventTaker): void;
}

/** In the order in which `explain --json` shows the fields. */
export function withEvents(summary: FlowSummary, events: readonly FlowEvent[]): FlowReport {
  const { inferred, verdict, ...before } = summary;
  return { ...before, events, inferred, verdict };
}

export function summaryOf(flow: Flow, span: CaptureSpan): FlowSummary {
  const low = {
    address: textOf(flow.family, flow.low0, flow.low1, flow.low2, flow.low3),
    port: flow.ports >>> 16,
  };
  const high = {
    address: textOf(flow.family, flow.high0, flow.high1, flow.high2, flow.high3),
    port: flow.ports & 0xffff,
  };
  return {
    a: flow.aIsHigh ? high : low,
    b: flow.aIsHigh ? low : high,
    opener: flow.opener,
    firstFrame: flow.firstFrame,
    startedMs: milliseconds(flow.firstNs),
    frames: flow.frames,
    inferred: inferFrom(flow),
    verdict: findEnding(flow, span),
  };
}

const bytes = new Uint8Array(16);
const words = new DataView(bytes.buffer);

function textOf(family: 4 | 6, w0: number, w1: number, w2: number, w3: number): string {
  words.setInt32(0, w0);
  if (family === 4) return formatIpv4(bytes, 0);
  words.setInt32(4, w1);
  words.setInt32(8, w2);
  words.setInt32(12, w3);
  return formatIpv6(bytes, 0);
}
