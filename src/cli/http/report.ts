import { formatEndpoint } from "../../client/nat/target.js";
import { findingsOf } from "../../http/measure/findings.js";
import type { HttpMeasured } from "../../http/measure/measurement.js";
import type { RequestsFound } from "../../http/measure/requests.js";
import type { ReuseCost } from "../../http/measure/reuse-cost.js";
import { type SafeSettings, safeSettings } from "../../http/measure/safe-settings.js";
import { formatDuration } from "../../plan/duration.js";
import { paint, type Terminal, wrap } from "../output.js";
import { section, widest } from "../plan/report.js";
import { settingsLines } from "./client-lines.js";

/** What was found, for people, in sections with a blank line between them. */
export function httpReport(measured: HttpMeasured, given: Terminal): string {
  const terminal = { ...given, width: Math.min(given.width, widest) };
  const sections = [section(terminal, title(measured), facts(measured).join("\n"))];
  const findings = findingsReport(findingsOf(measured), terminal);
  if (findings !== null) sections.push(section(terminal, "Findings", findings));
  const settings = settingsReport(measured, terminal);
  if (settings !== null) sections.push(settings);
  return sections.join("\n\n");
}

/** Findings with what each means; null: there are none. */
export function findingsReport(
  findings: readonly { readonly code: string; readonly message: string }[],
  terminal: Terminal,
): string | null {
  if (findings.length === 0) return null;
  return findings
    .map(({ code, message }) => `  ${paint(terminal, "yellow", code)}\n${wrap(terminal, message, "    ")}`)
    .join("\n");
}

function title({ target, look, idle, problem }: HttpMeasured): string {
  const soFar = problem === null ? "" : ", as far as is known";
  if (look.whyNot !== null) return `${target.url} does not keep connections${soFar}`;
  if (idle === null || (idle.highMs === null && idle.lowMs === 0)) return `${target.url} keeps connections`;
  if (idle.highMs === null)
    return `${target.url} keeps an idle connection for ${seconds(idle.lowMs)} or more${soFar}`;
  return `${target.url} keeps an idle connection for ${range(idle.lowMs, idle.highMs)}${soFar}`;
}

function facts(measured: HttpMeasured): string[] {
  const { address, look, requests, cost, connectionHeader } = measured;
  const endpoint = formatEndpoint(address.address, address.port);
  return [
    ...line("server", `${endpoint}, ${look.protocol}, status ${look.answer.status}`),
    ...line("advertised", advertised(measured)),
    ...line("ends", ends(measured)),
    ...line("requests", requests === null ? null : requestsText(requests)),
    ...line("reuse saves", cost === null ? null : saved(cost)),
    ...line("close", yes(connectionHeader?.closeHonoured, "honoured", "not honoured")),
    ...line(
      "HTTP/1.0",
      yes(connectionHeader?.http10KeepAlive, "kept when asked for", "closed even when asked to keep it"),
    ),
  ];
}

function requestsText({ limit, answered, announced, silent }: RequestsFound): string {
  if (limit === null) return `${answered} answered on one connection, and it still stood`;
  const end = silent ? "then no answer any more" : "then it ended unannounced";
  return `${limit} on one connection, ${announced ? "the last one announced" : end}`;
}

/** What takes long beside the handshake, a large answer or a slow program, can hide what the handshake takes. */
function saved({ newMs, reusedMs, newPackets, reusedPackets, samples }: ReuseCost): string {
  const time = newMs > reusedMs ? `${ms(newMs - reusedMs)} of ${ms(newMs)}` : `no time of ${ms(newMs)}`;
  const packets =
    newPackets === null || reusedPackets === null
      ? ""
      : `, ${Math.max(0, newPackets - reusedPackets)} of ${newPackets} packets`;
  return `${time}${packets} (medians of ${samples})`;
}

/** None where there is nothing to say. */
function line(name: string, text: string | null): string[] {
  return text === null ? [] : [`  ${name.padEnd(14)} ${text}`];
}

function advertised({ look: { hint } }: HttpMeasured): string | null {
  if (hint === null) return "nothing";
  const parts = [
    ...(hint.timeoutMs === null ? [] : [formatDuration(hint.timeoutMs)]),
    ...(hint.max === null ? [] : [`${hint.max} more requests`]),
  ];
  return parts.length === 0 ? "nothing that could be read" : parts.join(", ");
}

function ends({ idle }: HttpMeasured): string | null {
  if (idle === null || idle.highMs === null) return null;
  const late =
    idle.afterClose === null
      ? ""
      : idle.afterClose === "reset"
        ? "; a request that comes too late is reset"
        : "; a request that comes too late is lost";
  switch (idle.by) {
    case "fin":
      return `${idle.announced ? "GOAWAY and " : ""}FIN${late}`;
    case "rst":
      return "RST";
    case "lost":
      return "nothing: late requests are lost";
    default:
      return `nothing: late requests are ${idle.by === "reset" ? "reset" : "answered with a FIN"}`;
  }
}

function settingsReport(measured: HttpMeasured, terminal: Terminal): string | null {
  const safe = safeSettings(measured);
  const lines = Object.entries(settingsLines(safe)).map(([name, text]) => `  ${name.padEnd(14)} ${text}`);
  return lines.length === 0 ? null : section(terminal, settingsTitle(safe), lines.join("\n"));
}

function settingsTitle({ clientIdleMs, requestsPerConnection }: SafeSettings): string {
  if (clientIdleMs === 0) return "Clients do best not to use a connection again";
  const rules = [
    ...(clientIdleMs === null ? [] : [`close what has been idle for ${seconds(clientIdleMs)}`]),
    ...(requestsPerConnection === null
      ? []
      : [`send ${requestsPerConnection} requests on a connection at most`]),
  ];
  return `Safe for clients: ${rules.join(", ")}`;
}

function yes(value: boolean | null | undefined, whenTrue: string, whenFalse: string): string | null {
  return value === null || value === undefined ? null : value ? whenTrue : whenFalse;
}

/** Rounded outwards, and one time where both round to the same. */
export function range(lowMs: number, highMs: number): string {
  if (highMs - lowMs < 100) return seconds((lowMs + highMs) / 2, Math.round);
  return `${seconds(lowMs)} to ${seconds(highMs, Math.ceil)}`;
}

function seconds(value: number, round: (value: number) => number = Math.floor): string {
  return value < 600_000 ? `${(round(value / 100) / 10).toFixed(1)}s` : formatDuration(value);
}

function ms(value: number): string {
  return `${value < 10 ? value.toFixed(2) : Math.round(value)} ms`;
}
