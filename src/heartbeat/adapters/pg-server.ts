import { innerSocket } from "../../guard/inner-socket.js";
import { formatDuration } from "../../plan/duration.js";
import { describeSettings, type Plan } from "../../plan/planner.js";

/** What of a PostgreSQL server's settings leaves a dead client unnoticed. */
export interface PgFinding {
  readonly code: "slow-idle" | "slow-sending" | "no-connection-check";
  /** One sentence. */
  readonly message: string;
  /** What to write into postgresql.conf, or after ALTER SYSTEM SET. */
  readonly settings: readonly string[];
}

/** What is used of a connected client of `pg`. */
export interface QueryingPgClient {
  query(text: string): Promise<{ readonly rows: readonly unknown[] }>;
}

interface Row {
  readonly name: string;
  readonly setting: string;
}

/** In seconds, but for the last two, in milliseconds (pg_settings.unit). The user timeout came with 12, the check with 14. */
const names = [
  "tcp_keepalives_idle",
  "tcp_keepalives_interval",
  "tcp_keepalives_count",
  "tcp_user_timeout",
  "client_connection_check_interval",
] as const;

/** A query need not be looked at more often than this. */
const longestCheckMs = 10_000;

/**
 * Looks at the server's own end of a connection: a server that does not notice dead clients keeps their locks and transactions. Compares
 * its settings, as they hold for this very connection, with a plan.
 *
 * @returns what should be different; nothing if all is well.
 * @throws DeadpeerError `no-socket` by a Unix socket, where none of this matters; what the query throws.
 * @example for (const { message, settings } of await checkPgServer(client, plan)) console.log(message, settings);
 */
export async function checkPgServer(client: QueryingPgClient, plan: Plan): Promise<PgFinding[]> {
  innerSocket(client);
  const list = names.map((name) => `'${name}'`).join(", ");
  const { rows } = await client.query(`SELECT name, setting FROM pg_settings WHERE name IN (${list})`);
  const held = new Map((rows as readonly Row[]).map(({ name, setting }) => [name, Number(setting)]));
  return findings(held, plan);
}

function findings(held: ReadonlyMap<string, number>, plan: Plan): PgFinding[] {
  const number = (name: (typeof names)[number]): number => held.get(name) ?? 0;
  const { idleMs, sendingMs } = describeSettings({
    keepalive: {
      idleMs: number("tcp_keepalives_idle") * 1_000,
      intervalMs: number("tcp_keepalives_interval") * 1_000,
      count: number("tcp_keepalives_count"),
    },
    userTimeoutMs: number("tcp_user_timeout"),
  }).detection;
  const { keepalive, userTimeoutMs } = plan.settings;
  const wantedMs = plan.budgetMs ?? plan.detection.idleMs;
  const wantedSendingMs = plan.budgetMs ?? plan.detection.sendingMs;
  const found: PgFinding[] = [];
  if (keepalive !== null && wantedMs !== null && (idleMs === null || idleMs > wantedMs))
    found.push({
      code: "slow-idle",
      message: `the server notices a dead client that is idle after ${inWords(idleMs)}, not ${inWords(wantedMs)}; until then its transaction and locks stay`,
      settings: [
        `tcp_keepalives_idle = ${keepalive.idleMs / 1_000}`,
        `tcp_keepalives_interval = ${keepalive.intervalMs / 1_000}`,
        `tcp_keepalives_count = ${keepalive.count}`,
      ],
    });
  if (userTimeoutMs > 0 && wantedSendingMs !== null && (sendingMs === null || sendingMs > wantedSendingMs))
    found.push({
      code: "slow-sending",
      message: `a result that the server sends to a dead client is given up after ${inWords(sendingMs)}, not ${inWords(wantedSendingMs)}`,
      settings: [`tcp_user_timeout = ${userTimeoutMs}`],
    });
  if (number("client_connection_check_interval") === 0)
    found.push({
      code: "no-connection-check",
      message: "a query runs to its end, however long, after its client has gone",
      settings: [
        `client_connection_check_interval = ${Math.min(keepalive?.intervalMs ?? longestCheckMs, longestCheckMs)}`,
      ],
    });
  return found;
}

function inWords(ms: number | null): string {
  return ms === null ? "never" : formatDuration(ms);
}
