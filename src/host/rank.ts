import { type Connection, withinHost } from "./connection.js";
import { slowDetectionMs, troubleNow } from "./findings.js";

/**
 * Orders connections so that the worst comes first: what crosses a network before what stays within the host, what goes wrong
 * now before what would, then the longest time that a dead peer goes unnoticed, then the longest silence.
 *
 * @example connections.sort(worstFirst)
 */
export function worstFirst(a: Connection, b: Connection): number {
  return (
    Number(withinHost(a)) - Number(withinHost(b)) ||
    Number(endsByItself(a)) - Number(endsByItself(b)) ||
    Number(isInTrouble(b)) - Number(isInTrouble(a)) ||
    descending(timeUnnoticed(a), timeUnnoticed(b)) ||
    descending(a.lastHeardMs ?? 0, b.lastHeardMs ?? 0)
  );
}

/** Never is the longest time; where nothing is known, it comes after all that is. */
function timeUnnoticed({ settingsFrom, detection }: Connection): number {
  return settingsFrom === "unknown" ? 0 : (detection.deadPeerMs ?? Number.POSITIVE_INFINITY);
}

/** Infinity - Infinity is no number. */
function descending(a: number, b: number): number {
  return a === b ? 0 : b - a;
}

function isInTrouble({ findings }: Connection): boolean {
  return findings.some(({ code }) => troubleNow.has(code));
}

/** Connections that the kernel ends whatever the peer does, and listeners, which have no peer. */
export function endsByItself({ state, regime, inode }: Connection): boolean {
  return (
    state === "TIME_WAIT" ||
    state === "SYN_RECV" ||
    regime === "none" ||
    (regime === "closing" && inode === 0)
  );
}

/** The figures of the summary line. */
export interface Summary {
  readonly total: number;
  /** Would never notice a dead peer. */
  readonly never: number;
  /** Would, but need more than slowDetectionMs. */
  readonly slow: number;
  /** Of those two, how many have their peer on this very host. */
  readonly withinHost: number;
  /** Of which nothing is known. */
  readonly unknown: number;
}

/** Counts what the summary line says. Listeners are not connections and count nowhere. */
export function summarise(connections: readonly Connection[]): Summary {
  const count = { total: 0, never: 0, slow: 0, withinHost: 0, unknown: 0 };
  for (const connection of connections) {
    if (connection.regime === "none") continue;
    count.total++;
    if (endsByItself(connection)) continue;
    const { deadPeerMs } = connection.detection;
    if (connection.settingsFrom === "unknown") count.unknown++;
    else if (deadPeerMs === null) count.never++;
    else if (deadPeerMs > slowDetectionMs) count.slow++;
    else continue;
    if (connection.settingsFrom !== "unknown" && withinHost(connection)) count.withinHost++;
  }
  return count;
}
