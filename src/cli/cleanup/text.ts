import { paint, type Terminal, table, wrap } from "../output.js";
import type { Cleanup } from "./run.js";

/** The whole text of `cleanup`. */
export function cleanupText(
  { removed, kept, failed, unseen }: Cleanup,
  dryRun: boolean,
  terminal: Terminal,
): string {
  const sections = [
    removed.length > 0
      ? section(
          terminal,
          dryRun ? "Would be removed" : "Removed",
          removed.map(({ what, name, why }) => [what, name, why] as const),
        )
      : failed.length > 0
        ? null
        : `Nothing is left over${unseen.length > 0 ? " of what could be looked for" : ""}.`,
    kept.length === 0
      ? null
      : section(
          terminal,
          "Still in force, and kept",
          kept.map(({ what, name, why, undo }) => [
            what,
            name,
            why,
            ...(undo === null ? [] : [`to end it: ${undo}`]),
          ]),
        ),
  ];
  return `${sections.filter((part) => part !== null).join("\n\n")}\n`;
}

/** @param rows what it is, its name, and what is to be said of it. */
function section(
  terminal: Terminal,
  title: string,
  rows: readonly (readonly [what: string, name: string, ...said: string[]])[],
): string {
  const cells = rows.map(([what, name, ...said]) => [
    { text: `  ${what}` },
    { text: printable(name) },
    { text: printable(said.join("; ")) },
  ]);
  // Names and commands are there to be pasted: nothing is cut.
  const [, ...lines] = table(
    { ...terminal, width: Number.POSITIVE_INFINITY },
    [{ title: "" }, { title: "" }, { title: "" }],
    cells,
  ).split("\n");
  const fits = lines.every((line) => line.length <= terminal.width);
  return [
    paint(terminal, "bold", title),
    ...(fits ? lines : rows.flatMap((row) => stacked(terminal, row))),
  ].join("\n");
}

/** A row that is wider than the terminal, one thing a line. */
function stacked(
  terminal: Terminal,
  [what, name, ...said]: readonly [string, string, ...string[]],
): string[] {
  const below = said.map((text) => wrap(terminal, printable(text), "    "));
  return [`  ${what}  ${printable(name)}`, ...below];
}

function printable(text: string): string {
  return text.replaceAll(/\p{C}/gu, "?");
}
