import { listPolicies, type Policy } from "../../host/policy/find.js";
import { requireLinux } from "../../kernel/platform.js";
import { type Page, pageOf } from "../ls-report.js";
import { type Column, table, wrap } from "../output.js";
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

const columns: readonly Column[] = [
  { title: "ID" },
  { title: "CGROUP", shrinkTo: 12, cut: "middle" },
  { title: "SETTINGS" },
  { title: "FOR" },
  { title: "SINCE" },
  { title: "TOUCHED", align: "right" },
  { title: "LEFT", align: "right" },
  { title: "FAILED", align: "right" },
  { title: "HELD", align: "right" },
];

function listText(policies: readonly Policy[], page: Page): string {
  if (policies.length === 0) return "No policy.\n";
  const rows = policies.map((policy) => {
    const { touched, leftAlone, failed, held } = policy.counters;
    return [
      { text: String(policy.id) },
      { text: policy.cgroup },
      { text: changeText(policy.settings) },
      { text: filterText(policy) },
      { text: policy.at.slice(0, 19).replace("T", " ") },
      { text: String(touched) },
      { text: String(leftAlone) },
      { text: String(failed), ...(failed === 0 ? {} : { style: "yellow" as const }) },
      { text: String(held) },
    ];
  });
  const notes = policies.flatMap(notesOf).map((line) => wrap(page.text, line));
  return `${[table(page.table, columns, rows), ...(notes.length === 0 ? [] : ["", ...notes])].join("\n")}\n`;
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
