import type { Connection, ConnectionDetection, ConnectionKeepalive } from "../host/connection.js";
import { slowDetectionMs } from "../host/findings.js";
import type { ConnectionGroup } from "../host/group.js";
import { endsByItself } from "../host/rank.js";
import type { Cell } from "./output.js";

const units: readonly (readonly [ms: number, name: string])[] = [
  [86_400_000, "d"],
  [3_600_000, "h"],
  [60_000, "m"],
  [1_000, "s"],
];

/**
 * A duration in at most six characters, for columns: its two largest units, rounded to the nearest.
 *
 * @example shortDuration(7_875_000) // "2h11m"
 */
export function shortDuration(ms: number | null): string {
  if (ms === null) return "never";
  for (const [index, [largeMs, large]] of units.entries()) {
    const [smallMs, small] = units[index + 1] ?? [largeMs, ""];
    const rounded = Math.round(ms / smallMs) * smallMs;
    // Not `ms`: 59.6 s are rounded to a minute, and then shown as one.
    if (rounded < largeMs) continue;
    const rest = Math.round((rounded % largeMs) / smallMs);
    return `${Math.floor(rounded / largeMs)}${large}${rest === 0 ? "" : `${rest}${small}`}`;
  }
  return `${Math.round(ms)}ms`;
}

/** Who holds it: name and number of one process, the name alone where a group has several. */
export function processCell({ connections }: ConnectionGroup): Cell {
  const [first] = connections;
  const [holder, ...others] = first.processes;
  if (holder === undefined) return { text: "-", style: "dim" };
  const samePid = connections.every(({ processes }) => processes[0]?.pid === holder.pid);
  const more = others.length === 0 ? "" : ` +${others.length}`;
  return { text: `${printable(holder.name)}${samePid ? ` ${holder.pid}` : ""}${more}` };
}

/** A program names itself, and may put what moves the cursor into its name. */
function printable(name: string): string {
  return name.replaceAll(/\p{C}/gu, "?");
}

/** The ends, the service's at the arrow's point; the own address is left out where room is scarce. */
export function connectionCell({ direction, connections }: ConnectionGroup, roomy: boolean): Cell {
  const [first] = connections;
  if (first.state === "LISTEN") return { text: endpoint(first.local) };
  const many = `${connections.length} ×`;
  if (connections.length === 1) {
    const local = roomy ? endpoint(first.local) : `:${first.local.port}`;
    return { text: `${local} ${direction === "outgoing" ? "→" : "←"} ${endpoint(first.remote)}` };
  }
  if (first.state === "TIME_WAIT" && !oneService(connections)) return { text: `${many} of various services` };
  if (direction === "outgoing") return { text: `${many} → ${endpoint(first.remote)}` };
  const onePeer = connections.every(({ remote }) => remote.address === first.remote.address);
  return { text: `:${first.local.port} ← ${many}${onePeer ? ` ${first.remote.address}` : ""}` };
}

/** Whether one of the two ends is the same for all: its port, and of a peer its address too. */
function oneService(connections: ConnectionGroup["connections"]): boolean {
  const [first] = connections;
  return (
    connections.every(({ local }) => local.port === first.local.port) ||
    connections.every(({ remote }) => endpoint(remote) === endpoint(first.remote))
  );
}

/** One connection's ends, where no group says which of them offers the service; of a listener the one it has. */
export function endsText({ local, remote }: Pick<Connection, "local" | "remote">): string {
  return remote.port === 0 ? endpoint(local) : `${endpoint(local)} → ${endpoint(remote)}`;
}

/** Name and number of the first process, and how many more there are. */
export function processText(processes: Connection["processes"]): string {
  const [holder, ...others] = processes;
  if (holder === undefined) return "-";
  return `${printable(holder.name)} ${holder.pid}${others.length === 0 ? "" : ` +${others.length}`}`;
}

function endpoint({ address, port }: Connection["local"]): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** The longest silence of a group. */
export function heardCell({ connections }: ConnectionGroup): Cell {
  const silences = connections.map(({ lastHeardMs }) => lastHeardMs).filter((ms) => ms !== null);
  return { text: silences.length === 0 ? "-" : shortDuration(Math.max(...silences)) };
}

/** Idle, interval and count, and the user timeout: `60s/10s/3 U90s`. What only the timer shows is marked by "?". */
export function settingsCell({ connections: [first] }: ConnectionGroup): Cell {
  if (endsByItself(first)) return { text: "-", style: "dim" };
  if (first.settingsFrom === "unknown") return { text: "?" };
  const { keepalive, userTimeoutMs } = first;
  if (keepalive === null || !keepalive.enabled)
    return { text: `off${userTimeout(userTimeoutMs)}`, style: "red" };
  if (first.settingsFrom === "timer") return { text: "on ?" };
  return { text: settingsText(keepalive, userTimeoutMs) };
}

/** Settings that are known in full: `60s/10s/3 U90s`, `off U30s`. */
export function settingsText(
  { enabled, idleMs, intervalMs, count }: ConnectionKeepalive,
  userTimeoutMs: number | null,
): string {
  const times = enabled ? `${seconds(idleMs)}/${seconds(intervalMs)}/${count}` : "off";
  return `${times}${userTimeout(userTimeoutMs)}`;
}

function userTimeout(ms: number | null): string {
  return ms === null || ms === 0 ? "" : ` U${seconds(ms)}`;
}

/** Settings are known by their seconds: 7200/75/9. */
export function seconds(ms: number): string {
  return ms < 1_000 ? `${ms}ms` : `${Number((ms / 1_000).toFixed(1))}s`;
}

/** How long a dead peer goes unnoticed in one regime. */
export function timeCell(
  { connections: [first] }: ConnectionGroup,
  which: "idleMs" | "sendingMs" | "zeroWindowMs",
): Cell {
  if (endsByItself(first)) return { text: "-", style: "dim" };
  if (first.settingsFrom === "unknown") return { text: "?" };
  const ms = first.detection[which];
  // Of what is known from the timer alone, only "off" is certain.
  const certain = first.settingsFrom === "socket" || (which === "idleMs" && ms === null);
  return { text: `${shortDuration(ms)}${certain ? "" : "?"}`, ...timeStyle(which, first.detection) };
}

function timeStyle(which: keyof ConnectionDetection, detection: ConnectionDetection): Pick<Cell, "style"> {
  const ms = detection[which];
  // For a closed window "never" is as it should be: the peer lives.
  if (ms === null) return which === "zeroWindowMs" ? { style: "dim" } : { style: "red" };
  return ms > slowDetectionMs ? { style: "yellow" } : {};
}

/** Codes of the findings, and when it ends where it ends by itself. */
export function findingsText({ connections }: ConnectionGroup): string {
  const [first] = connections;
  const codes = first.findings.map(({ code }) => code).join(" ");
  if (!endsByItself(first) || first.detection.nowMs === null) return codes;
  const last = Math.max(...connections.map(({ detection }) => detection.nowMs ?? 0));
  return `${codes} ends within ${shortDuration(last)}`.trimStart();
}
