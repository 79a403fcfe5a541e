import { configurationWay } from "./configuration-way.js";
import type { ProgramFacts } from "./facts.js";
import { policyWay } from "./policy-way.js";
import { runWay } from "./run-way.js";
import { setWay, watchWay } from "./set-way.js";
import type { Impossible, Way, WayRequest } from "./way.js";

export interface Advice {
  /** What its connections lack, in one sentence. */
  readonly finding: string;
  /** The best first; each by itself, or one for now and another for connections to come. */
  readonly ways: readonly Way[];
  /** Ways that somebody may think of. */
  readonly impossible: readonly Impossible[];
}

/**
 * The ways to have a program's connections notice a dead peer in time: its own configuration first, because it lasts; then a policy,
 * which needs nothing of the program; then its live sockets one by one.
 *
 * @example decide(examineProgram(4711, 35_000), { words: ["--detect", "35s"], settings, within: "35s" }).ways[0]?.commands
 */
export function decide(facts: ProgramFacts, request: WayRequest): Advice {
  const answers = [configurationWay, policyWay, runWay, setWay, watchWay].map((way) => way(facts, request));
  const ways = answers.filter((answer) => answer !== null && "commands" in answer);
  return {
    finding: findingOf(facts, request),
    // What goes into a source that may not be at hand comes last.
    ways: [
      ...ways.filter(({ kind }) => kind !== "library"),
      ...ways.filter(({ kind }) => kind === "library"),
    ],
    impossible: answers.filter((answer) => answer !== null && "reason" in answer),
  };
}

function findingOf({ connections, hidesConnections }: ProgramFacts, { within }: WayRequest): string {
  const { total, withinHost, unprotected, slow, unread } = connections;
  const outside = total - withinHost;
  if (outside === 0 && hidesConnections) return "What it holds may not be seen.";
  if (outside === 0)
    return total === 0
      ? "It holds no TCP connection now; what follows is for those to come."
      : "All its connections are within this host, where the kernel itself tells when a peer ends; what follows is for others to come.";
  const known = outside - unread;
  if (known === 0) return "What its connections are set to could not be read.";
  if (unprotected + slow === 0)
    return `${all(known)} within ${within} already; what follows is for those to come.`;
  const parts = [
    ...(unprotected === 0 ? [] : [`${unprotected} would never notice a dead peer`]),
    ...(slow === 0 ? [] : [`${slow} would need longer than ${within}`]),
  ];
  return `Of ${outside} connection${outside === 1 ? "" : "s"} ${parts.join(", ")}.`;
}

function all(count: number): string {
  return count === 1 ? "Its connection notices a dead peer" : `All ${count} connections notice a dead peer`;
}
