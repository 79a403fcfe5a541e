import type { Connection } from "../host/connection.js";
import { type FindingCode, slowDetectionMs } from "../host/findings.js";
import { summarise } from "../host/rank.js";
import { counted } from "./counted.js";
import { type Terminal, wrap } from "./output.js";

/** What a finding means, and what to do about it, in the order of their weight. */
const meanings: Readonly<Record<FindingCode, string>> = {
  "unacked-growing": "what is sent goes unacknowledged: peer or path are silent right now",
  "zero-window": "the peer does not read; what is queued waits for it",
  "close-wait-stuck": "the peer has closed and this program has not: it leaks connections, or hangs",
  "time-wait-many": "ports to one peer run out: keep connections and use them again",
  "no-keepalive": "a peer that dies while nothing is sent is never noticed: switch SO_KEEPALIVE on",
  "idle-exceeds-path":
    "a box on the way forgets the connection before keepalive speaks: shorten TCP_KEEPIDLE",
  "slow-detection": `noticing takes more than ${slowDetectionMs / 60_000} min: shorten keepalive or user timeout`,
  "no-user-timeout": "data to a dead peer waits for the kernel's retransmissions: set TCP_USER_TIMEOUT",
};

/**
 * The sentence below the table.
 *
 * @example "41 connections: 3 would never notice a dead peer, 12 need more than 15 min."
 */
export function summaryLine(connections: readonly Connection[]): string {
  const { total, never, slow, unknown, withinHost } = summarise(connections);
  const parts = [
    never === 0 ? "" : `${never} would never notice a dead peer`,
    slow === 0 ? "" : `${slow} ${slow === 1 ? "needs" : "need"} more than ${slowDetectionMs / 60_000} min`,
    unknown === 0 ? "" : `${unknown} cannot be judged`,
  ].filter((part) => part !== "");
  const listeners = connections.length - total;
  const head =
    counted(total, "connection") + (listeners === 0 ? "" : ` and ${counted(listeners, "listener")}`);
  if (parts.length === 0)
    return total === 0
      ? `${head}.`
      : `${head}: all would notice a dead peer within ${slowDetectionMs / 60_000} min.`;
  const local =
    withinHost === 0
      ? ""
      : ` ${withinHost} of these stay within this host, where no network can cut them off.`;
  return `${head}: ${parts.join(", ")}.${local}`;
}

/** One line for each code that the table shows. */
export function legend(terminal: Terminal, connections: readonly Connection[]): string {
  const met = new Set(connections.flatMap(({ findings }) => findings.map(({ code }) => code)));
  const codes = (Object.keys(meanings) as FindingCode[]).filter((code) => met.has(code));
  const width = Math.max(0, ...codes.map((code) => code.length));
  return codes
    .map((code) => {
      const text = wrap({ ...terminal, width: terminal.width - 2 }, meanings[code], " ".repeat(width + 4));
      return `  ${code.padEnd(width)}  ${text.trimStart()}`;
    })
    .join("\n");
}
