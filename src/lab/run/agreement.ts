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
      ends.set(`${event.program} ${event.connection}`, {
        local: withoutMapping(event.local),
        remote: withoutMapping(event.remote),
      });
    if (event.event !== "verdict") continue;
    const { program, host, connection, atMs, verdict } = event;
    const end = ends.get(`${program} ${connection}`);
    if (end !== undefined) deaths.push({ program, host, connection, ...end, atMs, verdict });
  }
  return deaths;
}

/** A server that listens on both families shows IPv4 as mapped into IPv6; the wire does not. */
function withoutMapping(endpoint: string): string {
  return endpoint.replace(/^::ffff:/, "");
}

/**
 * The promise that a capture alone tells the same as the guard in the program, for every death on a captured host. What only the
 * program can know is left out: that it closed the connection itself, or that nobody answered its heartbeats.
 */
export function agreements(deaths: readonly Death[], wires: Wires): Expected[] {
  const agreements: Expected[] = [];
  for (const { program, host, connection, local, remote, atMs, verdict } of deaths) {
    const ending = wires.ending(host, local, remote);
    const ownDoing =
      verdict.state === "local" || verdict.state === "evicted" || verdict.timer === "heartbeat";
    if (ending === undefined || ownDoing) continue;
    agreements.push({
      text: `the capture alone gives the verdict of the guard in ${program}, ${connection}: ${verdict.state}`,
      passed: ending?.noticedHere === true && ending.verdict.state === verdict.state,
      observed:
        ending === null
          ? "no end to be seen"
          : `${ending.verdict.state}, ${ending.verdict.certainty}${ending.noticedHere ? "" : ", noticed by the other side"}`,
      atMs: [atMs],
      between: null,
    });
  }
  return agreements;
}
