import type { FlowEndpoint, FlowReport, InferredKeepalive, Side } from "../../capture/index.js";
import { formatDuration } from "../../plan/duration.js";
import type { SilentSpan } from "../../diagram/sequence.js";

/** @example endpointText({ address: "::1", port: 80 }) // "[::1]:80" */
export function endpointText({ address, port }: FlowEndpoint): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Both ends, the one that opened the connection first where that is known. */
export function titleOf(flow: FlowReport): string {
  const [a, b] = [endpointText(flow.a), endpointText(flow.b)];
  if (flow.opener === null) return `${a} ↔ ${b}`;
  return flow.opener === "a" ? `${a} → ${b}` : `${b} → ${a}`;
}

/** A line about a connection, with the word that it begins with. */
export type Fact = readonly [label: string, text: string];

/** Everything about a connection but its timeline. */
export function factsOf(flow: FlowReport, moment: (ms: number) => string, span: SilentSpan | null): Fact[] {
  return [
    ...proof(flow),
    sideFact(flow, "a", moment),
    sideFact(flow, "b", moment),
    ...handshake(flow),
    ...flow.inferred.keepalive.map((keepalive): Fact => ["keepalive", settingsText(flow, keepalive)]),
    ...better(flow, moment, span),
    ...traffic(flow),
  ];
}

function proof({ verdict }: FlowReport): Fact[] {
  const frames = verdict?.proof.frames ?? [];
  if (frames.length === 0) return [];
  return [["proof", `frame${frames.length === 1 ? "" : "s"} ${shortList(frames)}`]];
}

const mostListed = 8;

function shortList(frames: readonly number[]): string {
  if (frames.length <= mostListed) return frames.join(", ");
  return `${frames.slice(0, mostListed - 2).join(", ")} … ${frames.slice(-2).join(", ")} (${frames.length} frames)`;
}

function sideFact(flow: FlowReport, side: Side, moment: (ms: number) => string): Fact {
  const ms = flow.inferred.lastHeardMs[side];
  const opened = flow.opener === side ? ", opened the connection" : "";
  return [
    side,
    `${endpointText(flow[side])}${opened}, ${ms === null ? "no frame seen" : `last frame at ${moment(ms)}`}`,
  ];
}

function handshake({ opener, inferred: { established, roundTripMs } }: FlowReport): Fact[] {
  if (opener === null) return [["opened", "before the capture began"]];
  if (!established) return [["opened", "no: the handshake was not completed"]];
  return roundTripMs === null ? [] : [["round trip", precise(roundTripMs)]];
}

/** Round trips are often below a millisecond. */
function precise(ms: number): string {
  return ms < 10 ? `${Number(ms.toPrecision(2))}ms` : formatDuration(ms);
}

/** Keepalive as one side must have it set. */
export function settingsText({ verdict }: FlowReport, keepalive: InferredKeepalive): string {
  const { from, idleMs, intervalMs, count } = keepalive;
  // Only a connection that died of it shows how many probes it takes.
  const died =
    verdict?.timer === "keepalive" && verdict.state === "silent" && verdict.givenUp && verdict.by === from;
  const parts = [
    idleMs === null ? "on" : `idle ${formatDuration(idleMs)}`,
    ...(intervalMs === null ? [] : [`interval ${formatDuration(intervalMs)}`]),
    ...(died ? [`count ${count}`] : count > 1 ? [`count at least ${count}`] : []),
  ];
  return `of ${from}, as seen: ${parts.join(", ")}`;
}

/** When settings that the planner makes would have noticed the same death. */
function better({ verdict }: FlowReport, moment: (ms: number) => string, span: SilentSpan | null): Fact[] {
  if (verdict === null || verdict.better === null || span === null) return [];
  const { settings, earlierMs } = verdict.better;
  const words = [
    settings.keepalive === null
      ? "no keepalive"
      : `idle ${formatDuration(settings.keepalive.idleMs)}, interval ${formatDuration(settings.keepalive.intervalMs)}, count ${settings.keepalive.count}`,
    ...(settings.userTimeoutMs === 0 ? [] : [`user timeout ${formatDuration(settings.userTimeoutMs)}`]),
  ].join(", ");
  const when = moment(span.untilMs - earlierMs);
  return [["better", `with ${words}: noticed at ${when}, ${formatDuration(earlierMs)} earlier`]];
}

function traffic({ inferred: { keepaliveTraffic }, frames }: FlowReport): Fact[] {
  const { packets, bytes } = keepaliveTraffic;
  if (packets === 0) return [];
  return [["traffic", `${packets} of ${frames} packets, ${bytes} bytes, went into keepalive`]];
}
