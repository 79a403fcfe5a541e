import type { Advice } from "../../host/advise/decide.js";
import { listed } from "../../host/advise/family.js";
import type { ProgramFacts } from "../../host/advise/facts.js";
import type { Way } from "../../host/advise/way.js";
import { shortDuration } from "../ls-cells.js";
import { type Cell, paint, type Terminal, table, wrap } from "../output.js";

/** Wider lines are hard to read. Commands are never broken. */
const widest = 100;

/** Services beyond these are counted. */
const servicesShown = 8;

/** The whole text of `advise`. */
export function adviceText(facts: ProgramFacts, advice: Advice, given: Terminal): string {
  const terminal = { ...given, width: Math.min(given.width, widest) };
  const services = servicesTable(facts, terminal);
  const parts = [
    paint(terminal, "bold", printable(`${facts.program.name} ${facts.pid}`)),
    ...aboutLines(facts).map((line) => wrap(terminal, printable(line), "  ")),
    "",
    wrap(terminal, advice.finding),
    ...(services === null ? [] : [services]),
    ...advice.ways.flatMap((way, index) => ["", ...wayLines(way, index + 1, terminal)]),
    ...(advice.impossible.length === 0 ? [] : ["", ...impossibleLines(advice, terminal)]),
  ];
  return `${parts.join("\n")}\n`;
}

function aboutLines({
  program,
  executable,
  elf,
  family,
  uid,
  residence,
  cgroup,
  netns,
  connections,
}: ProgramFacts): string[] {
  const what = [
    ...(program.known === null ? [] : [program.known.title]),
    ...(executable === null
      ? []
      : [`${executable.path}${executable.deleted ? " (replaced or deleted since it started)" : ""}`]),
    ...(elf === null ? [] : [linkingOf(elf)]),
    `user ${uid}`,
  ];
  const { container, service, userService, session } = residence;
  const where = [
    ...(container === null ? [] : [`container ${container.id.slice(0, 12)} (${container.engine})`]),
    ...(service === null ? [] : [`service ${service}`]),
    ...(userService === null ? [] : [`user's unit ${userService}`]),
    ...(session === null ? [] : [`login session ${session}`]),
    ...(cgroup === null ? ["no cgroup v2"] : [`cgroup ${cgroup.path}`]),
    ...(netns === null ? [] : ["a network namespace of its own"]),
  ];
  const ports = connections.listeningPorts;
  return [
    what.join(", "),
    where.join(", "),
    ...(family.length === 1 ? [] : [`${family.length} processes: ${listed(family)}`]),
    ...(ports.length === 0 ? [] : [`listens on port ${listed(ports)}`]),
    ...(connections.withinHost === 0
      ? []
      : [
          `${connections.withinHost} connection${connections.withinHost === 1 ? "" : "s"} within this host, which no network can cut`,
        ]),
  ];
}

function linkingOf({ linking, libc, language }: NonNullable<ProgramFacts["elf"]>): string {
  const parts = [language === "go" ? "Go" : language === "rust" ? "Rust" : null, libc].filter(
    (part) => part !== null,
  );
  return parts.length === 0 ? linking : `${linking} (${parts.join(", ")})`;
}

/** null: there is nothing to show. */
function servicesTable({ connections: { services } }: ProgramFacts, terminal: Terminal): string | null {
  if (services.length === 0) return null;
  const rows = services
    .slice(0, servicesShown)
    .map(({ direction, port, connections, unprotected, slow, worstMs }): Cell[] => [
      { text: `  ${direction === "outgoing" ? "→ port" : "← port"} ${port}` },
      { text: String(connections) },
      { text: String(unprotected), ...(unprotected > 0 ? { style: "red" as const } : {}) },
      { text: String(slow), ...(slow > 0 ? { style: "yellow" as const } : {}) },
      { text: shortDuration(worstMs) },
    ]);
  const columns = [
    { title: "  SERVICE" },
    { title: "CONNECTIONS", align: "right" as const },
    { title: "NEVER", align: "right" as const },
    { title: "TOO SLOW", align: "right" as const },
    { title: "WORST", align: "right" as const },
  ];
  const left = services.length - rows.length;
  return `${table(terminal, columns, rows)}${left === 0 ? "" : `\n  … and ${left} more`}`;
}

function wayLines(
  { title, commands, why, limits, needs }: Way,
  number: number,
  terminal: Terminal,
): string[] {
  return [
    paint(terminal, "bold", `${number}. ${printable(title)}`),
    ...commands.map((command) => `     ${paint(terminal, "cyan", command)}`),
    wrap(terminal, printable(why), "   "),
    ...limits.map((limit) => hanging(terminal, printable(limit))),
    ...(needs === null || process.geteuid?.() === 0
      ? []
      : [wrap(terminal, `Needs ${needs}: run it as root.`, "   ")]),
  ];
}

function hanging(terminal: Terminal, text: string): string {
  return wrap(terminal, text, "     ").replace("     ", "   - ");
}

function impossibleLines({ impossible }: Advice, terminal: Terminal): string[] {
  return [
    paint(terminal, "bold", "Not possible here"),
    ...impossible.map(({ kind, reason }) => hanging(terminal, printable(`${kind}: ${reason}`))),
  ];
}

/** A program names itself, and may put what moves the cursor into its name. */
function printable(text: string): string {
  return text.replaceAll(/\p{C}/gu, "?");
}
