import type { KeepaliveSettings } from "../../plan/settings.js";
import type { Connection } from "../connection.js";

/** The connections of a namespace, by what the system's keepalive values mean to them. */
export interface Followers {
  readonly total: number;
  /** Keepalive on, with exactly the system's values: they follow the system unless they were given the same values. */
  readonly likeSystem: readonly Connection[];
  /** Keepalive on, with values of their own. */
  readonly own: number;
  /** Keepalive off: no sysctl changes anything for them while they are idle. */
  readonly off: number;
  /** Keepalive on or off, values not readable. */
  readonly unread: number;
}

/** Sorts connections by whether the system's keepalive values are theirs. Listeners and TIME_WAIT have nothing to detect. */
export function followersOf(connections: readonly Connection[], system: KeepaliveSettings): Followers {
  const living = connections.filter(({ state }) => state !== "LISTEN" && state !== "TIME_WAIT");
  const likeSystem: Connection[] = [];
  let own = 0;
  let off = 0;
  let unread = 0;
  for (const connection of living) {
    const { settingsFrom, keepalive } = connection;
    if (settingsFrom !== "socket") unread++;
    else if (keepalive === null || !keepalive.enabled) off++;
    else if (sameTimes(keepalive, system)) likeSystem.push(connection);
    else own++;
  }
  return { total: living.length, likeSystem, own, off, unread };
}

const sameTimes = (a: KeepaliveSettings, b: KeepaliveSettings): boolean =>
  a.idleMs === b.idleMs && a.intervalMs === b.intervalMs && a.count === b.count;

/**
 * The longest time until a live connection looks at changed values: a keepalive timer that runs is not re-armed by a sysctl
 * (tcp_keepalive_timer reads it when it goes off). Null: none of them waits for one.
 */
export function lastTickMs(connections: readonly Connection[]): number | null {
  const waits = connections.flatMap(({ timer }) => (timer.kind === "keepalive" ? [timer.expiresMs] : []));
  return waits.length === 0 ? null : Math.max(...waits);
}
