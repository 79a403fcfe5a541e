import type { Connection } from "../../host/connection.js";
import { type ConnectionGroup, groupConnections } from "../../host/group.js";
import { worstFirst } from "../../host/rank.js";
import type { HeldSettings } from "../../host/repair/held.js";
import type { Repair } from "../../host/repair/repair.js";
import type { RepairedConnection } from "../../host/repair/round.js";
import { connectionCell, processCell, settingsText, shortDuration } from "../ls-cells.js";
import { type Page, pageOf } from "../ls-report.js";
import { type Cell, type Column, cutEnd, paint, table, type Terminal, wrap } from "../output.js";

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

interface Layout {
  readonly linesPerRow: 1 | 2;
  /** Whether the own address is shown, and not its port alone. */
  readonly bothAddresses: boolean;
}

/** The first that fits is taken; only the last is ever cut. */
const layouts: readonly Layout[] = [
  { linesPerRow: 1, bothAddresses: true },
  { linesPerRow: 1, bothAddresses: false },
  { linesPerRow: 2, bothAddresses: true },
];
const narrowest: Layout = { linesPerRow: 2, bothAddresses: false };

const processColumn: Column = { title: "PROCESS", shrinkTo: 10 };
const connectionColumn: Column = { title: "CONNECTION", shrinkTo: 12, cut: "middle" };
const timeColumns: readonly Column[] = [{ title: "IDLE" }, { title: "SENDING" }];

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
  const hasNews = repaired.some(({ outcome }) => outcome !== "changed");
  // Colour only where it is drawn: what measures the width counts characters.
  const lay = (layout: Layout, width: number): string =>
    draw(
      { width, colour: terminal.colour && width === terminal.width },
      layout,
      groups.map((group) => [group, of(group.connections[0])]),
      hasNews,
    );
  const widthOf = (layout: Layout): number =>
    Math.max(
      ...lay(layout, Number.POSITIVE_INFINITY)
        .split("\n")
        .map((line) => line.length),
    );
  return lay(layouts.find((layout) => widthOf(layout) <= terminal.width) ?? narrowest, terminal.width);
}

type Row = readonly [ConnectionGroup, RepairedConnection];

function draw(terminal: Terminal, layout: Layout, rows: readonly Row[], hasNews: boolean): string {
  const news: readonly Column[] = hasNews ? [{ title: "OUTCOME" }] : [];
  const first = (group: ConnectionGroup): Cell[] => [
    processCell(group),
    connectionCell(group, layout.bothAddresses),
  ];
  if (layout.linesPerRow === 1)
    return table(
      terminal,
      [processColumn, connectionColumn, { title: "SETTINGS" }, ...timeColumns, ...news],
      rows.map(([group, one]) => [
        ...first(group),
        { text: changeText(one) },
        ...times(one),
        ...(hasNews ? [outcomeCell(one)] : []),
      ]),
    );
  const [titles = "", ...lines] = table(
    terminal,
    [processColumn, connectionColumn, ...timeColumns],
    rows.map(([group, one]) => [...first(group), ...times(one)]),
  ).split("\n");
  const below = rows.map(([, one]) => {
    const { outcome } = one;
    return paint(
      terminal,
      "dim",
      cutEnd(`  ${changeText(one)}  ${hasNews ? outcome : ""}`.trimEnd(), terminal.width),
    );
  });
  return [titles, ...lines.flatMap((line, index) => [line, below[index] ?? ""])].join("\n");
}

function changeText({ before, after }: RepairedConnection): string {
  return arrow(heldText(before), heldText(after));
}

function times({ connection, before, detectionAfter }: RepairedConnection): Cell[] {
  const was = connection.detection;
  return (["idleMs", "sendingMs"] as const).map((which) =>
    before === null || detectionAfter === null || connection.state === "LISTEN"
      ? { text: "-", style: "dim" }
      : { text: arrow(shortDuration(was[which]), shortDuration(detectionAfter[which])) },
  );
}

function outcomeCell({ outcome }: RepairedConnection): Cell {
  return outcome === "changed" || outcome === "unchanged"
    ? { text: outcome }
    : { text: outcome, style: "yellow" };
}

/** What a socket holds; `?` where it could not be read. */
export function heldText(held: HeldSettings | null): string {
  return held === null ? "?" : settingsText(held.keepalive, held.userTimeoutMs);
}

export function arrow(before: string, after: string): string {
  return before === after ? after : `${before} → ${after}`;
}

/** Each reason once, with how many it holds for; those for which something is missing are told apart from the report. */
function reasons(connections: readonly RepairedConnection[]): string[] {
  const counts = new Map<string, number>();
  for (const { outcome, reason } of connections)
    if (reason !== null && outcome !== "denied" && outcome !== "refused") {
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
