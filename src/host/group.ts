import type { Connection } from "./connection.js";

/** Which side offers the service. */
export type Direction = "outgoing" | "incoming";

/** Connections that have the same to say about them: same program, same service, same settings, same findings. */
export interface ConnectionGroup {
  readonly direction: Direction;
  /** At least one, in the order they were given. */
  readonly connections: readonly [Connection, ...Connection[]];
}

/**
 * Services have the lower port: the kernel hands out local ports from 32768 up (net.ipv4.ip_local_port_range), and what people
 * configure lies below. A guess, for display only.
 */
export function directionOf({ local, remote }: Connection): Direction {
  return local.port < remote.port ? "incoming" : "outgoing";
}

/**
 * Puts alike connections together; the groups come in the order of their first connection.
 *
 * @example groupConnections(connections.sort(worstFirst))[0].connections.length // 12
 */
export function groupConnections(connections: readonly Connection[]): ConnectionGroup[] {
  const groups = new Map<string, { direction: Direction; connections: [Connection, ...Connection[]] }>();
  for (const connection of connections) {
    const direction = directionOf(connection);
    const key = likeness(connection, direction);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { direction, connections: [connection] });
    else group.connections.push(connection);
  }
  return [...groups.values()];
}

/** One word per thing that must be the same. */
function likeness(connection: Connection, direction: Direction): string {
  const { keepalive, detection } = connection;
  const service =
    direction === "outgoing"
      ? `${connection.remote.address} ${connection.remote.port}`
      : String(connection.local.port);
  return [
    connection.netns,
    connection.processes.map(({ name }) => name).join(),
    direction,
    service,
    connection.state,
    connection.regime,
    connection.settingsFrom,
    keepalive?.enabled,
    keepalive?.idleMs,
    keepalive?.intervalMs,
    keepalive?.count,
    connection.userTimeoutMs,
    // What is left of TIME_WAIT differs from one to the next.
    connection.state === "TIME_WAIT" ? "" : detection.worstMs,
    connection.findings.map(({ code }) => code).join(),
  ].join("\u0000");
}
