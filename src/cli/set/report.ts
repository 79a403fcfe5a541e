import type { Connection } from "../../host/connection.js";
import { type ConnectionGroup, groupConnections } from "../../host/group.js";
import { worstFirst } from "../../host/rank.js";
import type { HeldSettings } from "../../host/repair/held.js";
import type { Repair } from "../../host/repair/repair.js";
import type { RepairedConnection } from "../../host/repair/round.js";
import { connectionCell, processCell, settingsText, shortDuration } from "../ls-cells.js";
import { type Page, pageOf } from "../ls-report.js";
import { type Cell, type Column, table, type Terminal, wrap } from "../output.js";

type Outcome = RepairedConnection["outcome"];

/** Above this many connections alike ones share a row, as in `ls`. */
const groupAbove = 12;

/** How the summary counts each outcome, the usual ones first. */
const counted: Readonly<Record<Outcome, string>> = {
  changed: "changed",
  withheld: "changed but for the user timeout",
  unchanged: "as asked for already",
  refused: "refused",
  denied: "not allowed",
  unheld: "held by no process",
  gone: "ended meanwhile",
  aborted: "left as it was",
};

/** The whole text of `set`: table, reasons, summary. */
export function repairText(repair: Repair, dryRun: boolean, page: Page = pageOf(process.stdout)): string {
  const { connections, run } = repair;
  if (connections.length === 0) return "No connection to change.\n";
  const lines = [
    repairTable(page.table, connections),
    "",
    ...reasons(connections).map((line) => wrap(page.text, line)),
    wrap(page.text, summary(connections, dryRun)),
    ...(run === null ? [] : [`To put back what was there: deadpeer set --undo ${run}`]),
  ];
  return `${lines.join("\n")}\n`;
}

const columns: readonly Column[] = [
  { title: "PROCESS", shrinkTo: 10 },
  { title: "CONNECTION", shrinkTo: 12, cut: "middle" },
  { title: "SETTINGS" },
  { title: "IDLE" },
  { title: "SENDING" },
  { title: "OUTCOME" },
];

/** Before → after, a row for each connection or, of many, for those alike. */
function repairTable(terminal: Terminal, repaired: readonly RepairedConnection[]): string {
  const byConnection = new Map(repaired.map((one) => [one.connection, one]));
  const of = (connection: Connection): RepairedConnection =>
    byConnection.get(connection) as RepairedConnection;
  const groups = groupConnections(
    repaired.map(({ connection }) => connection).sort(worstFirst),
    repaired.length > groupAbove,
    (connection) => `${of(connection).outcome} ${heldText(of(connection).after)} ${of(connection).reason} `,
  );
  const isAsExpected = repaired.every(({ outcome }) => outcome === "changed");
  const shown = isAsExpected ? columns.slice(0, -1) : columns;
  const draw = (width: number, roomy: boolean): string =>
    table(
      { ...terminal, width },
      shown,
      groups.map((group) => row(group, of(group.connections[0]), roomy).slice(0, shown.length)),
    );
  const wide = draw(Number.POSITIVE_INFINITY, true);
  const fits = Math.max(...wide.split("\n").map((line) => line.length)) <= terminal.width;
  return draw(terminal.width, fits);
}

function row(group: ConnectionGroup, repaired: RepairedConnection, roomy: boolean): Cell[] {
  const { connection, outcome, before, after, detectionAfter } = repaired;
  const was = connection.detection;
  const isListener = connection.state === "LISTEN";
  const time = (which: "idleMs" | "sendingMs"): Cell =>
    before === null || detectionAfter === null || isListener
      ? { text: "-", style: "dim" }
      : { text: arrow(shortDuration(was[which]), shortDuration(detectionAfter[which])) };
  return [
    processCell(group),
    connectionCell(group, roomy),
    { text: arrow(heldText(before), heldText(after)) },
    time("idleMs"),
    time("sendingMs"),
    {
      text: outcome,
      ...(outcome === "changed" || outcome === "unchanged" ? {} : { style: "yellow" as const }),
    },
  ];
}

/** What a socket holds; `?` where it could not be read. */
export function heldText(held: HeldSettings | null): string {
  return held === null ? "?" : settingsText(held.keepalive, held.userTimeoutMs);
}

export function arrow(before: string, after: string): string {
  return before === after ? after : `${before} → ${after}`;
}

/** Each reason once, with how many it holds for. */
function reasons(connections: readonly RepairedConnection[]): string[] {
  const counts = new Map<string, number>();
  for (const { outcome, reason } of connections)
    if (reason !== null && outcome !== "denied") {
      const text = `${outcome}: ${reason}`;
      counts.set(text, (counts.get(text) ?? 0) + 1);
    }
  return [...counts].map(([text, count]) => (count === 1 ? text : `${text} (${count} ×)`));
}

function summary(connections: readonly RepairedConnection[], dryRun: boolean): string {
  const counts = (Object.keys(counted) as Outcome[])
    .map((outcome) => [outcome, connections.filter((one) => one.outcome === outcome).length] as const)
    .filter(([, count]) => count > 0)
    .map(
      ([outcome, count]) => `${count} ${dryRun && outcome === "changed" ? "would change" : counted[outcome]}`,
    );
  const { length } = connections;
  const listeners = connections.filter(({ connection }) => connection.state === "LISTEN").length;
  const what = listeners === 0 ? "connection" : listeners === length ? "listener" : "socket";
  return `${length} ${what}${length === 1 ? "" : "s"}: ${counts.join(", ")}.`;
}
