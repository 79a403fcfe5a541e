import { formatDuration } from "../../plan/duration.js";
import type { Plan } from "../../plan/planner.js";
import type { TrafficFigures } from "../../plan/traffic.js";
import { bytesText } from "../bytes-text.js";
import { type Cell, paint, type Terminal, table, wrap } from "../output.js";
import type { RequestOptions } from "./request.js";

/** Wider lines are hard to read. */
export const widest = 80;

/** A plan for people, in sections with a blank line between them. */
export function reportOf(plan: Plan, options: RequestOptions, given: Terminal): string {
  const terminal = { ...given, width: Math.min(given.width, widest) };
  const sections = [
    section(terminal, titleOf(plan), settingsOf(plan)),
    section(
      terminal,
      "How long a dead peer goes unnoticed, and what outage is ridden out",
      times(plan, terminal),
    ),
    section(terminal, "Price", price(plan, terminal)),
    plan.warnings.length === 0 ? null : section(terminal, "Warnings", warnings(plan, terminal)),
    section(terminal, "Next", next(plan, options)),
  ];
  return sections.filter((part) => part !== null).join("\n\n");
}

/** A title and what stands below it. */
export function section(terminal: Terminal, title: string, body: string): string {
  return `${paint(terminal, "bold", title)}\n${body}`;
}

function titleOf({ budgetMs }: Plan): string {
  return budgetMs === null
    ? "These settings"
    : `Settings that notice a dead peer within ${formatDuration(budgetMs)}`;
}

/** The settings, and the path that they are for, one a line. */
export function settingsOf({ settings: { keepalive, userTimeoutMs }, path }: Plan): string {
  const lines = [
    keepalive === null
      ? "  keepalive      off"
      : `  keepalive      idle ${formatDuration(keepalive.idleMs)}, interval ${formatDuration(keepalive.intervalMs)}, count ${keepalive.count}`,
    `  user timeout   ${userTimeoutMs === 0 ? "none" : `${userTimeoutMs}ms`}`,
    ...path.map(({ name, idleMs }) => `  path           ${name}, forgets after ${formatDuration(idleMs)}`),
  ];
  return lines.join("\n");
}

function times({ settings, detection, ridesOutMs }: Plan, terminal: Terminal): string {
  const { keepalive, userTimeoutMs } = settings;
  const limited = userTimeoutMs > 0;
  const sending = limited ? "the user timeout" : "at least; tcp_retries2 decides";
  return table(
    terminal,
    [
      { title: "  regime" },
      { title: "noticed after", align: "right" },
      { title: "rides out", align: "right" },
      { title: "because of", shrinkTo: 20 },
    ],
    [
      row(
        "idle",
        detection.idleMs,
        ridesOutMs.idle === null ? "any" : formatDuration(ridesOutMs.idle),
        keepalive === null ? "nothing is sent" : "unanswered probes",
      ),
      row("sending", detection.sendingMs, formatDuration(ridesOutMs.sending), sending),
      row(
        "zero window",
        detection.zeroWindowMs,
        "",
        limited ? "the user timeout, alive or not" : "the peer answers: it lives",
      ),
      row("the same, silent", detection.zeroWindowSilentMs, "", sending),
      row("connecting", detection.connectingMs, "", limited ? "the user timeout" : "tcp_syn_retries"),
    ],
  );
}

function row(regime: string, ms: number | null, outage: string, reason: string): Cell[] {
  return [
    { text: `  ${regime}` },
    { text: formatDuration(ms), ...(ms === null ? { style: "red" as const } : {}) },
    { text: outage },
    { text: reason, style: "dim" },
  ];
}

function price({ settings, traffic }: Plan, terminal: Terminal): string {
  if (settings.keepalive === null) return "  nothing: without keepalive no packet is sent";
  const one = wrap(terminal, `One idle connection: ${figures(traffic)}.`, "  ");
  if (traffic.total === undefined || traffic.connections === undefined) return one;
  return `${one}\n${wrap(terminal, `${grouped(traffic.connections)} of them: ${figures(traffic.total)}.`, "  ")}`;
}

function figures({ packetsPerDay, bytesPerDay, bytesPerMonth, wakeupsPerDay }: TrafficFigures): string {
  return `${grouped(packetsPerDay)} packets (${bytesText(bytesPerDay)}) a day, ${bytesText(bytesPerMonth)} a month, ${grouped(wakeupsPerDay)} wake-ups of the peer a day`;
}

/** By hand: toLocaleString would load ICU's data, which takes about as long as all the rest. */
function grouped(count: number): string {
  return String(count).replaceAll(/\B(?=(\d{3})+$)/g, ",");
}

function warnings({ warnings }: Plan, terminal: Terminal): string {
  return warnings
    .map(({ code, message }) => `  ${paint(terminal, "yellow", code)}\n${wrap(terminal, message, "    ")}`)
    .join("\n");
}

function next({ budgetMs }: Plan, options: RequestOptions): string {
  if (budgetMs === null) {
    return "  deadpeer plan --detect 35s\n      settings for a time you choose\n  deadpeer ls\n      what this host's connections have now";
  }
  const same = [
    `--detect ${options.detect}`,
    ...(options.path ?? []).map((name) => `--path ${name}`),
    ...(options.outage === undefined ? [] : [`--outage ${options.outage}`]),
  ].join(" ");
  return [
    `  deadpeer plan ${same} --for node`,
    "      the lines to paste; other targets: deadpeer plan --list targets",
    "  deadpeer ls",
    "      what this host's connections have now",
  ].join("\n");
}
