import type { Connection } from "../host/connection.js";
import { type ConnectionGroup, groupConnections } from "../host/group.js";
import { connectionCell, findingsText, heardCell, processCell, settingsCell, timeCell } from "./ls-cells.js";
import { type Cell, type Column, cutEnd, paint, type Terminal, table } from "./output.js";

/** Above this many connections alike ones share a row: a screen of 24 lines holds no more beside what is said below the table. */
const groupAbove = 12;

/** "+" new, "-" gone. */
export type Mark = "+" | "-" | "";

export interface TableOptions {
  /** The connections, the worst first. */
  readonly connections: readonly Connection[];
  readonly group: boolean;
  /** Lines that there is room for below the titles; rows that do not fit are counted. */
  readonly lines?: number;
  /** Marks a connection, as `--watch` does with what is new; only connections with the same mark share a row. */
  readonly mark?: (connection: Connection) => Mark;
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

/**
 * The table of `ls`. In a wide terminal a row is one line; in a narrow one state, settings and findings stand in a second.
 *
 * @example connectionTable(terminalOf(process.stdout), { connections: survey().sort(worstFirst), group: true })
 */
export function connectionTable(terminal: Terminal, options: TableOptions): string {
  const { connections, lines = Number.POSITIVE_INFINITY, mark = () => "" } = options;
  const groups = groupConnections(connections, options.group && connections.length > groupAbove, mark);
  const candidates = groups.slice(0, lines);
  const layout = layouts.find((layout) => widthOf(layout, candidates, mark) <= terminal.width) ?? narrowest;
  const shown = candidates.slice(0, Math.max(1, Math.floor(lines / layout.linesPerRow)));
  const text = draw(terminal, layout, shown, mark);
  const left = groups.length - shown.length;
  return left === 0
    ? text
    : `${text}\n${paint(terminal, "dim", `… and ${left} more row${left === 1 ? "" : "s"}`)}`;
}

type Marking = (connection: Connection) => Mark;

/** Columns that a layout needs when nothing is cut. */
function widthOf(layout: Layout, groups: readonly ConnectionGroup[], mark: Marking): number {
  const text = draw({ width: Number.POSITIVE_INFINITY, colour: false }, layout, groups, mark);
  return Math.max(...text.split("\n").map((line) => line.length));
}

const processColumn: Column = { title: "PROCESS", shrinkTo: 10 };
const connectionColumn: Column = { title: "CONNECTION", shrinkTo: 12, cut: "middle" };
const heardColumn: Column = { title: "HEARD", align: "right" };
const timeColumns: readonly Column[] = [
  { title: "IDLE", align: "right" },
  { title: "SENDING", align: "right" },
  { title: "0-WINDOW", align: "right" },
];
const oneLine: readonly Column[] = [
  processColumn,
  connectionColumn,
  { title: "STATE" },
  heardColumn,
  { title: "SETTINGS" },
  ...timeColumns,
  { title: "FINDINGS" },
];
const twoLines: readonly Column[] = [processColumn, connectionColumn, heardColumn, ...timeColumns];

function draw(terminal: Terminal, layout: Layout, groups: readonly ConnectionGroup[], mark: Marking): string {
  const rows = groups.map((group) => cells(layout, group, mark(group.connections[0])));
  if (layout.linesPerRow === 1) return table(terminal, oneLine, rows);
  const [titles = "", ...lines] = table(terminal, twoLines, rows).split("\n");
  const below = groups.map((group) =>
    paint(terminal, "dim", cutEnd(`  ${secondLine(group)}`, terminal.width)),
  );
  return [titles, ...lines.flatMap((line, index) => [line, below[index] ?? ""])].join("\n");
}

function cells(layout: Layout, group: ConnectionGroup, mark: Mark): Cell[] {
  const process = marked(processCell(group), mark);
  const connection = connectionCell(group, layout.bothAddresses);
  const times = [timeCell(group, "idleMs"), timeCell(group, "sendingMs"), timeCell(group, "zeroWindowMs")];
  if (layout.linesPerRow === 2) return [process, connection, heardCell(group), ...times];
  const state = { text: group.connections[0].state };
  const findings = { text: joined(findingsText(group), group.connections[0].netns) };
  return [process, connection, state, heardCell(group), settingsCell(group), ...times, findings];
}

function marked(cell: Cell, mark: Mark): Cell {
  if (mark === "") return cell;
  return { text: `${mark} ${cell.text}`, style: mark === "+" ? "green" : "dim" };
}

/** What a narrow terminal has no column for. The state is named where it is not the usual one. */
function secondLine(group: ConnectionGroup): string {
  const { state, netns } = group.connections[0];
  return joined(state === "ESTABLISHED" ? "" : state, settingsText(group), findingsText(group), netns);
}

/** Where no title says what it is, a mark alone would say nothing. */
function settingsText(group: ConnectionGroup): string {
  const { text } = settingsCell(group);
  if (text === "-") return "";
  return text === "?" ? "settings unknown" : text;
}

function joined(...parts: readonly (string | undefined)[]): string {
  return parts.filter((part) => part !== undefined && part !== "").join("  ");
}
