import { type Connection, withinHost } from "../connection.js";
import { type Direction, directions } from "../group.js";

/** What a program's connections have now. Those within this host count in `withinHost` alone: no network can cut them off. */
export interface ConnectionsSeen {
  readonly total: number;
  readonly withinHost: number;
  /** Would never notice a dead peer. */
  readonly unprotected: number;
  /** Would notice, but later than wanted. */
  readonly slow: number;
  /** Of these nothing is known. */
  readonly unread: number;
  /** Held by more than one process. */
  readonly shared: number;
  /** Ports on which it takes connections from anywhere but this host. */
  readonly listeningPorts: readonly number[];
  /** The connections to others by the service that they are for, the worst first. */
  readonly services: readonly ServiceConnections[];
}

export interface ServiceConnections {
  /** "incoming": the port is the program's own. */
  readonly direction: Direction;
  readonly port: number;
  readonly connections: number;
  readonly unprotected: number;
  readonly slow: number;
  /** How long the slowest takes to notice a dead peer; null: one never does. */
  readonly worstMs: number | null;
}

/** States that end by themselves soon, or that no setting reaches any more. */
const ending: ReadonlySet<Connection["state"]> = new Set<Connection["state"]>([
  "TIME_WAIT",
  "NEW_SYN_RECV",
  "CLOSE",
]);

/**
 * @param wantedMs the time within which a dead peer shall be noticed; infinite: only "never" is too late.
 * @example seenConnections(survey({ filter }), 35_000).unprotected
 */
export function seenConnections(all: readonly Connection[], wantedMs: number): ConnectionsSeen {
  const listeners = all.filter(({ state }) => state === "LISTEN");
  const connections = all.filter(({ state }) => state !== "LISTEN" && !ending.has(state));
  const others = connections.filter((connection) => !withinHost(connection));
  const services = new Map<string, Tally>();
  const whole = new Tally();
  const directionOf = directions(all);
  for (const connection of others) {
    // What it listens on is its own service, whatever the numbers of the ports say.
    const isOwn = listeners.some(({ local }) => local.port === connection.local.port);
    const direction = isOwn ? "incoming" : directionOf(connection);
    const port = direction === "incoming" ? connection.local.port : connection.remote.port;
    const key = `${direction} ${port}`;
    let tally = services.get(key);
    if (tally === undefined) services.set(key, (tally = new Tally(direction, port)));
    for (const one of [whole, tally]) one.add(connection, wantedMs);
  }
  return {
    total: connections.length,
    withinHost: connections.length - others.length,
    unprotected: whole.unprotected,
    slow: whole.slow,
    unread: whole.unread,
    shared: connections.filter(isShared).length,
    listeningPorts: [
      ...new Set(listeners.filter((one) => !isLoopback(one)).map(({ local }) => local.port)),
    ].sort((a, b) => a - b),
    services: [...services.values()].map((tally) => tally.result).sort(worstFirst),
  };
}

class Tally {
  readonly direction: Direction;
  readonly port: number;
  connections = 0;
  unprotected = 0;
  slow = 0;
  unread = 0;
  worstMs: number | null = 0;

  constructor(direction: Direction = "outgoing", port = 0) {
    this.direction = direction;
    this.port = port;
  }

  add({ settingsFrom, detection: { deadPeerMs } }: Connection, wantedMs: number): void {
    this.connections++;
    if (settingsFrom === "unknown") {
      this.unread++;
      return;
    }
    if (deadPeerMs === null) this.unprotected++;
    else if (deadPeerMs > wantedMs) this.slow++;
    this.worstMs = deadPeerMs === null || this.worstMs === null ? null : Math.max(this.worstMs, deadPeerMs);
  }

  get result(): ServiceConnections {
    const { direction, port, connections, unprotected, slow, worstMs } = this;
    return { direction, port, connections, unprotected, slow, worstMs };
  }
}

function isShared({ processes }: Connection): boolean {
  return new Set(processes.map(({ pid }) => pid)).size > 1;
}

function isLoopback({ local: { address } }: Connection): boolean {
  return address.startsWith("127.") || address === "::1";
}

function worstFirst(a: ServiceConnections, b: ServiceConnections): number {
  return b.unprotected - a.unprotected || b.slow - a.slow || b.connections - a.connections || a.port - b.port;
}
