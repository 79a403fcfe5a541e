import { paint, type Terminal, table } from "../output.js";
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
          removed.map(({ what, name, why }) => [what, name, why]),
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
            undo === null ? why : `${why}; to end it: ${undo}`,
          ]),
        ),
  ];
  return `${sections.filter((part) => part !== null).join("\n\n")}\n`;
}

function section(terminal: Terminal, title: string, rows: readonly (readonly string[])[]): string {
  const cells = rows.map(([what = "", name = "", why = ""]) => [
    { text: `  ${what}` },
    { text: printable(name) },
    { text: printable(why) },
  ]);
  // Names are there to be pasted: nothing is cut.
  const [, ...lines] = table(
    { ...terminal, width: Number.POSITIVE_INFINITY },
    [{ title: "" }, { title: "" }, { title: "" }],
    cells,
  ).split("\n");
  return [paint(terminal, "bold", title), ...lines].join("\n");
}

function printable(text: string): string {
  return text.replaceAll(/\p{C}/gu, "?");
}
