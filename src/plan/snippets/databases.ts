import { formatDuration } from "../duration.js";
import { aloneMs, type KeepaliveSeconds } from "./rounding.js";
import { keepalivePurpose, lines, purpose, type TargetDefinition, withoutUserTimeout } from "./snippet.js";
import { sysctlSettings } from "./system.js";

/** The longest a running query may go without a look at its client, where nothing else says. */
const longestCheckS = 10;

/** PostgreSQL, its server and libpq. The server switches keepalive on for every connection and cannot be told not to. */
export const postgres: TargetDefinition = {
  id: "postgres",
  title: "PostgreSQL (server and libpq)",
  aliases: ["postgresql", "pg", "libpq", "psql"],
  needs: "PostgreSQL 12 (tcp_user_timeout); 14 (client_connection_check_interval)",
  write(settings) {
    const { keepalive, userTimeoutMs } = settings;
    // A backend busy with a query looks at its socket only when this says so.
    const checkS = Math.min(keepalive?.intervalS ?? longestCheckS, longestCheckS);
    const checks = keepalive !== null || userTimeoutMs > 0;
    const libpq = [
      ...(keepalive === null
        ? ["keepalives=0"]
        : [
            "keepalives=1",
            `keepalives_idle=${keepalive.idleS}`,
            `keepalives_interval=${keepalive.intervalS}`,
            `keepalives_count=${keepalive.count}`,
          ]),
      // PQconnectPoll leaves the user timeout alone with keepalives=0.
      ...(userTimeoutMs === 0 || keepalive === null ? [] : [`tcp_user_timeout=${userTimeoutMs}`]),
    ].join(" ");
    return {
      text: lines(
        keepalive === null
          ? `# The server's keepalive is always on, with the system's times.${checks ? " In postgresql.conf:" : ""}`
          : [
              `# ${purpose(settings)}. In postgresql.conf:`,
              `tcp_keepalives_idle = ${keepalive.idleS} # s`,
              `tcp_keepalives_interval = ${keepalive.intervalS} # s`,
              `tcp_keepalives_count = ${keepalive.count}`,
            ],
        userTimeoutMs === 0 ? null : `tcp_user_timeout = ${userTimeoutMs} # ms`,
        checks ? `client_connection_check_interval = ${checkS * 1_000} # ms` : null,
        "# Clients, in the connection string:",
        `# ${libpq}`,
      ),
      notes: [
        ...(checks ? [`a query that is running notices up to ${formatDuration(checkS * 1_000)} later`] : []),
        ...(keepalive === null
          ? ["the server switches keepalive on for every TCP connection and cannot be told not to"]
          : []),
        ...(keepalive === null && userTimeoutMs > 0
          ? ["libpq sets the user timeout only together with keepalives=1"]
          : []),
      ],
    };
  },
};

/** MySQL always switches keepalive on and leaves the times to the system; MariaDB has variables for them. */
export const mysql: TargetDefinition = {
  id: "mysql",
  title: "MySQL and MariaDB (server)",
  aliases: ["mariadb", "percona"],
  needs: "MariaDB 10.3.3; MySQL has no settings for it",
  write(settings) {
    const { keepalive, notes } = withoutUserTimeout(settings, "the server");
    const always = "the server switches keepalive on for every TCP connection and cannot be told not to";
    if (keepalive === null)
      return {
        text: lines(
          "# The server's keepalive is always on, with the system's times. Clients can switch theirs off:",
          "# Connector/J: tcpKeepAlive=false   mysql2 (Node): enableKeepAlive: false",
        ),
        notes: [...notes, always],
      };
    return {
      text: lines(
        `# ${keepalivePurpose(settings)}. In my.cnf, MariaDB only:`,
        "[mariadb]",
        `tcp_keepalive_time = ${keepalive.idleS}`,
        `tcp_keepalive_interval = ${keepalive.intervalS}`,
        `tcp_keepalive_probes = ${keepalive.count}`,
        "# MySQL takes the system's times:",
        `# sysctl -w ${sysctlSettings({ ...settings, keepalive, userTimeoutMs: 0 })
          .map(({ name, value }) => `${name}=${value}`)
          .join(" ")}`,
      ),
      notes: [
        ...notes,
        "clients switch it on by tcpKeepAlive=true (Connector/J) or enableKeepAlive (mysql2); the times are the system's there too",
      ],
    };
  },
};

/** anetKeepAlive of Redis: the idle time is N, the interval N / 3 but at least 1, and the count always 3. */
export const redisKeepalive = (seconds: number): KeepaliveSeconds => ({
  idleS: seconds,
  intervalS: Math.max(1, Math.floor(seconds / 3)),
  count: 3,
});

/** The longest `tcp-keepalive` that notices within the given time; 1 where none does. */
function redisSeconds(budgetMs: number): number {
  // N + 3 x N / 3 is 2 x N at most, but for N of 1 and 2, where the interval is 1.
  let seconds = Math.max(1, Math.floor(budgetMs / 2_000) - 1);
  while (aloneMs(redisKeepalive(seconds + 1)) <= budgetMs) seconds++;
  return Math.min(seconds, 32_767);
}

export const redis: TargetDefinition = {
  id: "redis",
  title: "Redis and Valkey (server)",
  aliases: ["valkey", "keydb"],
  needs: "Redis 3.2",
  write(settings) {
    const { keepalive: wanted, notes } = withoutUserTimeout(settings, "the server");
    if (wanted === null) return { text: lines(`# ${keepalivePurpose(settings)}.`, "tcp-keepalive 0"), notes };
    const seconds = redisSeconds(aloneMs(wanted));
    const keepalive = redisKeepalive(seconds);
    const late = aloneMs(keepalive) > aloneMs(wanted);
    return {
      text: lines(`# ${purpose({ ...settings, keepalive, userTimeoutMs: 0 })}.`, `tcp-keepalive ${seconds}`),
      notes: [
        `one number sets all: idle ${keepalive.idleS} s, then ${keepalive.count} probes ${keepalive.intervalS} s apart`,
        ...(late ? [`it cannot notice sooner than ${formatDuration(aloneMs(keepalive))}`] : []),
        ...notes.slice(0, 1),
        "clients set their own: socket_keepalive_options (redis-py), keepAlive (ioredis), a Dialer (go-redis)",
      ],
    };
  },
};
