import { type ConnectionGroup, groupConnections } from "../../host/group.js";
import type { Candidate, EndedConnection } from "../../host/kill/kill.js";
import type { Unanswered } from "../../host/kill/unanswered.js";
import { worstFirst } from "../../host/rank.js";
import type { Connection } from "../../host/connection.js";
import { counted } from "../counted.js";
import { connectionCell, heardCell, processCell, shortDuration } from "../ls-cells.js";
import { pageOf } from "../ls-report.js";
import { type Cell, table, wrap } from "../output.js";

type Outcome = EndedConnection["outcome"];

/** Above this many connections alike ones share a row, as in `ls`. */
const groupAbove = 12;

/** What is about to be ended, and what their peers owe an answer to. */
export function listText(candidates: readonly Candidate[]): string {
  return listed(candidates, () => null);
}

/** What came of it; the list itself only where it is not known yet, or not all went as expected. */
export function endedText(ended: readonly EndedConnection[], isListed: boolean): string {
  const others = ended.filter(({ outcome }) => outcome !== "ended");
  const outcomes = new Map(ended.map(({ connection, outcome }) => [connection, outcome]));
  const list =
    isListed && others.length === 0
      ? ""
      : `${listed(ended, ({ connection }) => (others.length === 0 ? null : (outcomes.get(connection) ?? null)))}\n\n`;
  const { text } = pageOf(process.stdout);
  const reasons = [...new Set(others.flatMap(({ reason }) => (reason === null ? [] : [reason])))];
  const counts = (["ended", "gone", "answered", "refused"] as const)
    .map((outcome) => [outcome, ended.filter((one) => one.outcome === outcome).length] as const)
    .filter(([outcome, count]) => count > 0 || outcome === "ended")
    .map(([outcome, count]) => `${count} ${said[outcome]}`);
  return `${list}${reasons.map((reason) => `${wrap(text, reason)}\n`).join("")}${counted(ended.length, "connection")}: ${counts.join(", ")}.\n`;
}

const said: Readonly<Record<Outcome, string>> = {
  ended: "ended",
  gone: "had ended already",
  answered: "answered meanwhile, left alone",
  refused: "refused by the kernel",
};

function listed(
  candidates: readonly Candidate[],
  outcomeOf: (candidate: Candidate) => Outcome | null,
): string {
  const byConnection = new Map(candidates.map((one) => [one.connection, one]));
  const of = (connection: Connection): Candidate => byConnection.get(connection) as Candidate;
  const groups = groupConnections(
    candidates.map(({ connection }) => connection).sort(worstFirst),
    candidates.length > groupAbove,
    (connection) => `${outcomeOf(of(connection)) ?? ""} ${of(connection).unanswered?.to ?? ""} `,
  );
  const hasOwed = candidates.some(({ unanswered }) => unanswered !== null);
  const hasOutcome = candidates.some((one) => outcomeOf(one) !== null);
  const row = (group: ConnectionGroup): Cell[] => {
    const first = group.connections[0];
    const owed = group.connections.flatMap((connection) => of(connection).unanswered ?? []);
    return [
      processCell(group),
      connectionCell(group, true),
      { text: first.state },
      heardCell(group),
      ...(hasOwed ? [{ text: owedText(owed) }] : []),
      ...(hasOutcome ? [{ text: outcomeOf(of(first)) ?? "" }] : []),
    ];
  };
  return table(
    pageOf(process.stdout).table,
    [
      { title: "PROCESS", shrinkTo: 10 },
      { title: "CONNECTION", shrinkTo: 12, cut: "middle" },
      { title: "STATE" },
      { title: "HEARD", align: "right" },
      ...(hasOwed ? [{ title: "UNANSWERED" }] : []),
      ...(hasOutcome ? [{ title: "OUTCOME" }] : []),
    ],
    groups.map(row),
  );
}

/** The longest of a group. */
function owedText(owed: readonly Unanswered[]): string {
  const [longest] = owed.toSorted((a, b) => b.forMs - a.forMs);
  if (longest === undefined) return "-";
  return `${longest.to} ${longest.times} × in ${shortDuration(longest.forMs)}`;
}

/** As in `ls --json`, with what the peer owes an answer to, whether this session hangs on it, and what came of it. */
export function endedJson(
  { connection, unanswered }: Candidate,
  ownSession: boolean,
  ended: Pick<EndedConnection, "outcome" | "reason"> | null,
): unknown {
  return {
    ...connection,
    unanswered,
    ownSession,
    ...(ended === null ? {} : { outcome: ended.outcome, reason: ended.reason }),
  };
}
