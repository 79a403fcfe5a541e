import type { Verdict } from "../../verdict/verdict.js";
import type { Expected } from "./result.js";
import type { LabEvent } from "./timeline.js";
import type { Wires } from "./wires.js";

/** A connection that a guard saw the end of. */
export interface Death {
  readonly program: string;
  readonly host: string;
  readonly connection: string;
  readonly local: string;
  readonly remote: string;
  readonly atMs: number;
  readonly verdict: Verdict;
}

/** Every end that the programs reported. */
export function deathsIn(events: readonly LabEvent[]): Death[] {
  const ends = new Map<string, { readonly local: string; readonly remote: string }>();
  const deaths: Death[] = [];
  for (const event of events) {
    if (event.source !== "program") continue;
    if (event.event === "connected" || event.event === "accepted")
      ends.set(`${event.program} ${event.connection}`, { local: event.local, remote: event.remote });
    if (event.event !== "verdict") continue;
    const { program, host, connection, atMs, verdict } = event;
    const end = ends.get(`${program} ${connection}`);
    if (end !== undefined) deaths.push({ program, host, connection, ...end, atMs, verdict });
  }
  return deaths;
}

/** That it closed the connection itself, or that nobody answered its heartbeats: on the wire that looks like any other end. */
export function onlyTheProgramKnows({ state, timer }: Verdict): boolean {
  return state === "local" || state === "evicted" || timer === "heartbeat";
}

interface Comparison {
  readonly death: Death;
  readonly passed: boolean;
  readonly observed: string;
}

/**
 * The promise that a capture alone tells the same as the guard in the program, for every death on a captured host, one line for
 * those of a program that are alike. What only the program can know is left out.
 *
 * @param blind hosts that were cut off from their own wire: what their kernels did there left no packet.
 */
export function agreements(
  deaths: readonly Death[],
  wires: Wires,
  blind: ReadonlySet<string> = new Set(),
): Expected[] {
  const alike = new Map<string, Comparison[]>();
  for (const death of deaths) {
    if (blind.has(death.host) || onlyTheProgramKnows(death.verdict)) continue;
    const comparison = compare(death, wires);
    if (comparison === null) continue;
    const key = `${death.program} ${death.verdict.state}`;
    const group = alike.get(key);
    if (group === undefined) alike.set(key, [comparison]);
    else group.push(comparison);
  }
  return [...alike.values()].map(together);
}

/** null: the connection was not captured where it died. */
function compare(death: Death, wires: Wires): Comparison | null {
  const ending = wires.ending(death.host, death.local, death.remote);
  if (ending === undefined) return null;
  if (ending === null) return { death, passed: false, observed: "no end to be seen" };
  const { verdict, noticedHere } = ending;
  return {
    death,
    passed: noticedHere && verdict.state === death.verdict.state,
    observed: `${verdict.state}, ${verdict.certainty}${noticedHere ? "" : ", noticed by the other side"}`,
  };
}

function together(comparisons: readonly Comparison[]): Expected {
  const [first] = comparisons as readonly [Comparison];
  const { program, connection, verdict } = first.death;
  const which = comparisons.length === 1 ? connection : `${comparisons.length} connections`;
  const failed = comparisons.filter(({ passed }) => !passed);
  const seen = new Set(
    failed.length === 0
      ? comparisons.map(({ observed }) => observed)
      : failed.map(({ death, observed }) => `${death.connection}: ${observed}`),
  );
  return {
    text: `the capture alone gives the verdict of the guard in ${program}, ${which}: ${verdict.state}`,
    passed: failed.length === 0,
    observed: [...seen].slice(0, 6).join("; "),
    atMs: comparisons.map(({ death }) => death.atMs),
    between: null,
  };
}
