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
 * Tells which side of each connection offers the service: the end that more of the connections share, such as the port of a
 * server with many clients; where that says nothing, the lower port, because the kernel hands out local ports from 32768 up
 * (net.ipv4.ip_local_port_range). A guess, for display only.
 *
 * @example directions(connections)(connections[0]) // "outgoing"
 */
export function directions(connections: readonly Connection[]): (connection: Connection) => Direction {
  const locals = new Map<string, number>();
  const remotes = new Map<string, number>();
  for (const connection of connections) {
    count(locals, localService(connection));
    count(remotes, remoteService(connection));
  }
  return (connection) => {
    const { local, remote } = connection;
    const shared =
      (locals.get(localService(connection)) ?? 0) - (remotes.get(remoteService(connection)) ?? 0);
    if (shared !== 0) return shared > 0 ? "incoming" : "outgoing";
    return local.port < remote.port ? "incoming" : "outgoing";
  };
}

/** Clients reach one service over several addresses of this host. */
function localService({ netns, local }: Connection): string {
  return `${netns} ${local.port}`;
}

function remoteService({ netns, remote }: Connection): string {
  return `${netns} ${remote.address} ${remote.port}`;
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/**
 * Puts alike connections together; the groups come in the order of their first connection.
 *
 * @param together false: a group for each connection.
 * @param aspect something else that must be the same.
 * @example groupConnections(connections.sort(worstFirst))[0].connections.length // 12
 */
export function groupConnections(
  connections: readonly Connection[],
  together = true,
  aspect: (connection: Connection) => string = () => "",
): ConnectionGroup[] {
  const directionOf = directions(connections);
  const groups = new Map<unknown, { direction: Direction; connections: [Connection, ...Connection[]] }>();
  for (const connection of connections) {
    const direction = directionOf(connection);
    const key = together ? aspect(connection) + likeness(connection, direction) : connection;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { direction, connections: [connection] });
    else group.connections.push(connection);
  }
  return [...groups.values()];
}

/** One word per thing that must be the same. */
function likeness(connection: Connection, direction: Direction): string {
  const { keepalive, detection, findings } = connection;
  // Nobody holds them and they end by themselves: unless there is something to say of them, they share one row, whatever
  // service they were for.
  if (connection.state === "TIME_WAIT" && findings.length === 0) return `TIME_WAIT ${connection.netns}`;
  const service = direction === "outgoing" ? remoteService(connection) : localService(connection);
  return [
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
    findings.map(({ code }) => code).join(),
  ].join("\u0000");
}
