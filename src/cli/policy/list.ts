import { listPolicies, type Policy } from "../../host/policy/find.js";
import { requireLinux } from "../../kernel/platform.js";
import { type Page, pageOf } from "../ls-report.js";
import { type Cell, type Column, table, type Terminal, wrap } from "../output.js";
import { policyJson } from "./json.js";
import { changeText, filterText } from "./words.js";

/** What commander collects for `deadpeer policy list`. */
export interface ListOptions {
  readonly json?: boolean;
}

export function runList({ json = false }: ListOptions): void {
  requireLinux("cgroups");
  const policies = listPolicies();
  process.stdout.write(
    json
      ? `${JSON.stringify(policies.map(policyJson), null, 2)}\n`
      : listText(policies, pageOf(process.stdout)),
  );
}

const whatColumns: readonly Column[] = [
  { title: "ID" },
  { title: "CGROUP", shrinkTo: 12, cut: "middle" },
  { title: "SETTINGS" },
];
const moreColumns: readonly Column[] = [
  { title: "FOR" },
  { title: "SINCE" },
  { title: "TOUCHED", align: "right" },
  { title: "LEFT", align: "right" },
  { title: "FAILED", align: "right" },
  { title: "HELD", align: "right" },
];

/** The whole text of `policy list`. */
export function listText(policies: readonly Policy[], page: Page): string {
  if (policies.length === 0) return "No policy.\n";
  const notes = policies.flatMap(notesOf).map((line) => wrap(page.text, line));
  return `${[policyTable(policies, page.table), ...(notes.length === 0 ? [] : ["", ...notes])].join("\n")}\n`;
}

/** A line for each, or two where the terminal is too narrow for one. */
function policyTable(policies: readonly Policy[], terminal: Terminal): string {
  const columns = [...whatColumns, ...moreColumns];
  const rows = policies.map((policy) => [...whatCells(policy), ...moreCells(policy)]);
  const uncut = { width: Number.POSITIVE_INFINITY, colour: false };
  const widest = Math.max(
    ...table(uncut, columns, rows)
      .split("\n")
      .map(({ length }) => length),
  );
  if (widest <= terminal.width) return table(terminal, columns, rows);
  const [titles = "", ...lines] = table(terminal, whatColumns, policies.map(whatCells)).split("\n");
  const below = policies.map((policy) => wrap(terminal, moreText(policy), "     "));
  return [titles, ...lines.flatMap((line, index) => [line, below[index] ?? ""])].join("\n");
}

function whatCells(policy: Policy): Cell[] {
  return [{ text: String(policy.id) }, { text: policy.cgroup }, { text: changeText(policy.settings) }];
}

function moreCells(policy: Policy): Cell[] {
  const { touched, leftAlone, failed, held } = policy.counters;
  return [
    { text: filterText(policy) },
    { text: time(policy) },
    { text: String(touched) },
    { text: String(leftAlone) },
    { text: String(failed), ...(failed === 0 ? {} : { style: "yellow" as const }) },
    { text: String(held) },
  ];
}

/** The same in words, for lines of their own. */
function moreText(policy: Policy): string {
  const { touched, leftAlone, failed, held } = policy.counters;
  return `for ${filterText(policy)}; since ${time(policy)}: ${touched} touched, ${leftAlone} left, ${failed} failed, ${held} held`;
}

function time({ at }: Policy): string {
  return at.slice(0, 19).replace("T", " ");
}

/** What the row has no room for. */
function notesOf({ id, counters, lastError, holdsLater, onlyUnset, owner, programs }: Policy): string[] {
  return [
    ...(counters.failed === 0
      ? []
      : [`${id}: the kernel refused a setting; the last time with ${lastError ?? "no reason"}`]),
    ...(holdsLater || onlyUnset
      ? []
      : [`${id}: what programs set later on a connection is not held against`]),
    ...(programs.established === null
      ? [`${id}: its program for new connections is gone; remove it and add it again`]
      : []),
    ...(owner.command === "run" ? [`${id}: of deadpeer run; it goes with the program`] : []),
  ];
}
