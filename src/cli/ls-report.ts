import { worstFirst } from "../host/rank.js";
import type { HostSurvey } from "../host/survey.js";
import { legend, summaryLine } from "./ls-summary.js";
import { connectionTable } from "./ls-table.js";
import { type Terminal, terminalOf, wrap } from "./output.js";

/** Where a report is printed. */
export interface Page {
  readonly text: Terminal;
  /** Tables are cut to fit a terminal only: whoever reads a pipe wants every character. */
  readonly table: Terminal;
}

/** The page behind a stream. */
export function pageOf(stream: NodeJS.WriteStream): Page {
  const text = terminalOf(stream);
  return { text, table: stream.isTTY ? text : { ...text, width: Number.POSITIVE_INFINITY } };
}

/** The whole text of `ls`: table, summary, legend. */
export function report(
  survey: HostSurvey,
  { group }: { readonly group: boolean },
  page: Page = pageOf(process.stdout),
): string {
  const connections = survey.connections.toSorted(worstFirst);
  if (connections.length === 0) return `${nothing(survey)}\n`;
  const parts = [
    connectionTable(page.table, { connections, group }),
    "",
    wrap(page.text, summaryLine(connections)),
    legend(page.text, connections),
  ];
  return `${parts.join("\n").trimEnd()}\n`;
}

function nothing({ sight: { considered } }: HostSurvey): string {
  return considered === 0
    ? "No connections to show."
    : `No connections to show: none of ${considered} takes that long to notice a dead peer.`;
}
