import { DeadpeerError } from "../../errors.js";
import { formatDuration } from "../../plan/duration.js";
import { middleboxes } from "../../plan/middleboxes.js";
import { nearest } from "../../plan/nearest.js";
import { programs } from "../../plan/programs.js";
import type { KeepaliveSettings } from "../../plan/settings.js";
import { snippetTargets } from "../../plan/snippets/index.js";
import { operatingSystems } from "../../plan/systems.js";
import { paint, type Terminal, table, wrap } from "../output.js";

interface Catalogue {
  readonly entries: readonly object[];
  readonly text: (terminal: Terminal) => string;
}

const catalogues: Readonly<Record<string, Catalogue>> = {
  paths: { entries: middleboxes, text: pathsAsText },
  systems: { entries: operatingSystems, text: systemsAsText },
  programs: { entries: programs, text: programsAsText },
  targets: { entries: snippetTargets, text: targetsAsText },
};

/** A catalogue for programs: its entries as they are, sources included. */
export function catalogueAsJson(name: string): readonly object[] {
  return find(name).entries;
}

/** A catalogue for people. */
export function catalogueAsText(name: string, terminal: Terminal): string {
  return find(name).text(terminal);
}

function find(name: string): Catalogue {
  const found = Object.hasOwn(catalogues, name) ? catalogues[name] : undefined;
  if (found !== undefined) return found;
  const names = Object.keys(catalogues);
  throw new DeadpeerError(
    "bad-option",
    `--list: there is no catalogue "${name}"; did you mean ${nearest(name, names)}? There are ${names.join(", ")}`,
  );
}

function pathsAsText(terminal: Terminal): string {
  const rows = middleboxes.map(({ id, idleMs, countsKeepalive, onExpiry }) => [
    { text: id },
    { text: formatDuration(idleMs) },
    { text: countsKeepalive ? "counts" : "ignored" },
    { text: onExpiry },
  ]);
  const columns = [
    { title: "PATH" },
    { title: "FORGETS AFTER", align: "right" as const },
    { title: "KEEPALIVE" },
    { title: "THEN", shrinkTo: 20 },
  ];
  return `${table(terminal, columns, rows)}\n\nSources and what each can be set to: deadpeer plan --list paths --json`;
}

function systemsAsText(terminal: Terminal): string {
  const rows = operatingSystems.map(({ id, name, defaults, noticedAfterMs }) => [
    { text: id },
    { text: name },
    { text: defaults === null ? "" : times(defaults) },
    { text: formatDuration(noticedAfterMs) },
  ]);
  const columns = [
    { title: "SYSTEM" },
    { title: "NAME", shrinkTo: 12 },
    { title: "IDLE / INTERVAL / COUNT" },
    { title: "NOTICED AFTER", align: "right" as const },
  ];
  const options = operatingSystems.map(({ name, options }) => {
    const list = options.map(
      ({ name, number, unit }) => `${name}${number === null ? "" : ` ${number}`} (${unit})`,
    );
    return wrap(terminal, `${name}: ${list.join(", ")}.`, "  ");
  });
  return [
    table(terminal, columns, rows),
    "",
    paint(terminal, "dim", "Socket options with their numbers and units"),
    ...options,
    "",
    "As they come; keepalive is off until a program turns it on. Sources: add --json",
  ].join("\n");
}

function programsAsText(terminal: Terminal): string {
  const width = Math.max(...programs.map(({ id }) => id.length));
  const entries = programs.map(({ id, keepalive, note }) => {
    const text = keepalive === undefined ? note : `TCP keepalive ${keepaliveOf(keepalive)}; ${note}`;
    const [first = "", ...rest] = wrap({ ...terminal, width: terminal.width - width - 2 }, `${text}.`).split(
      "\n",
    );
    return [`${id.padEnd(width)}  ${first}`, ...rest.map((line) => `${" ".repeat(width + 2)}${line}`)].join(
      "\n",
    );
  });
  return [...entries, "", "As they come. Sources: deadpeer plan --list programs --json"].join("\n");
}

function keepaliveOf(keepalive: KeepaliveSettings | "system" | null): string {
  if (keepalive === null) return "off";
  return keepalive === "system" ? "on, with the system's times" : times(keepalive);
}

function targetsAsText(terminal: Terminal): string {
  return table(
    terminal,
    [{ title: "TARGET" }, { title: "FOR" }, { title: "NEEDS", shrinkTo: 16 }],
    snippetTargets.map(({ id, title, needs }) => [{ text: id }, { text: title }, { text: needs }]),
  );
}

function times({ idleMs, intervalMs, count }: KeepaliveSettings): string {
  return `${formatDuration(idleMs)} / ${formatDuration(intervalMs)} / ${count}`;
}
