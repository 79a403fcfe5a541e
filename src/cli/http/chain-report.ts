import type { Audit, Pair } from "../../http/chain/audit.js";
import { formatDuration } from "../../plan/duration.js";
import { visible } from "../../plan/visible.js";
import { type Cell, paint, type Style, type Terminal, table, wrap } from "../output.js";
import { section, widest } from "../plan/report.js";

const verdicts: Readonly<Record<Pair["verdict"], readonly [string, Style]>> = {
  good: ["good", "green"],
  race: ["race", "red"],
  tight: ["tight", "yellow"],
  "no-reuse": ["no reuse", "dim"],
  unknown: ["unknown", "yellow"],
};

/** The audit for people: each two neighbours in a row, then what is wrong and what to set. */
export function chainReport({ pairs, findings }: Audit, given: Terminal): string {
  const terminal = { ...given, width: Math.min(given.width, widest) };
  const races = findings.length;
  const title =
    races === 0
      ? "Each hop ends idle connections before the next one does"
      : `${races} finding${races === 1 ? "" : "s"} in this chain`;
  const sections = [section(terminal, title, pairsTable(pairs, given))];
  const remarks = pairs.filter(({ verdict }) => verdict === "no-reuse");
  if (remarks.length > 0)
    sections.push(remarks.map(({ because }) => wrap(terminal, `${visible(because)}.`, "  ")).join("\n"));
  if (findings.length > 0)
    sections.push(
      section(
        terminal,
        "Findings",
        findings
          .map(({ code, message, set }) =>
            [
              `  ${paint(terminal, "yellow", code)}`,
              wrap(terminal, visible(message), "    "),
              ...set.map(
                ({ hop, line }, index) =>
                  `    ${index === 0 ? "set" : "or "} in ${visible(hop)}:\n        ${visible(line)}`,
              ),
            ].join("\n"),
          )
          .join("\n"),
      ),
    );
  return sections.join("\n\n");
}

function pairsTable(pairs: readonly Pair[], terminal: Terminal): string {
  return table(
    terminal,
    [
      { title: "  from", shrinkTo: 12 },
      { title: "ends idle after", align: "right" },
      { title: "to", shrinkTo: 12 },
      { title: "keeps for", align: "right" },
      { title: "" },
    ],
    pairs.map((pair): Cell[] => {
      const [word, style] = verdicts[pair.verdict];
      const blank = pair.verdict === "no-reuse" || pair.verdict === "unknown";
      return [
        { text: `  ${visible(pair.from)}` },
        { text: blank && pair.idleMs === null ? "" : formatDuration(pair.idleMs) },
        { text: visible(pair.to) },
        { text: blank && pair.keepAliveMs === null ? "" : formatDuration(pair.keepAliveMs) },
        { text: word, style },
      ];
    }),
  );
}
