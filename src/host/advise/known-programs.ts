/** A program or language runtime that is known by the name of its executable. */
export interface KnownProgram {
  readonly id: string;
  readonly title: string;
  /** A `runtime` runs programs of others: not it is configured, they are changed. */
  readonly kind: "program" | "runtime";
  readonly names: RegExp;
  /** What `plan --for` calls it; null: there are no lines for it. */
  readonly target: string | null;
  /** What there is to know where there are no lines. */
  readonly instead?: string;
}

/**
 * By the names that their own packages and Debian's give the executables. The first that fits counts.
 *
 * `instead` is taken from each program's own documentation.
 */
export const knownPrograms: readonly KnownProgram[] = [
  program("nginx", "nginx", /^(nginx|openresty|angie|freenginx)$/, "nginx"),
  program("haproxy", "HAProxy", /^haproxy$/, "haproxy"),
  program("envoy", "Envoy", /^envoy$/, "envoy"),
  program("redis", "Redis", /^(redis-server|valkey-server|keydb-server|redis-sentinel)$/, "redis"),
  program("postgres", "PostgreSQL", /^(postgres|postmaster)$/, "postgres"),
  program("psql", "psql", /^(psql|pg_dump|pg_restore|pg_basebackup|pg_receivewal)$/, "postgres"),
  program("mysql", "MySQL", /^mysqld$/, "mysql"),
  program("mariadb", "MariaDB", /^mariadbd$/, "mysql"),
  program("sshd", "OpenSSH's server", /^sshd(-session|-auth)?$/, "sshd"),
  program("ssh", "OpenSSH's client", /^ssh$/, "ssh"),
  program("systemd", "systemd", /^systemd$/, "systemd"),
  program(
    "pgbouncer",
    "PgBouncer",
    /^pgbouncer$/,
    null,
    "tcp_keepidle, tcp_keepintvl, tcp_keepcnt and tcp_user_timeout in pgbouncer.ini set it",
  ),
  program(
    "mosquitto",
    "Mosquitto",
    /^mosquitto$/,
    null,
    "each MQTT client's own Keep Alive finds dead peers: the broker ends a client that is silent for 1.5 times of it",
  ),
  program(
    "memcached",
    "memcached",
    /^memcached$/,
    null,
    "it switches keepalive on; its times are the system's: deadpeer plan --for sysctl",
  ),
  program(
    "apache",
    "Apache httpd",
    /^(apache2|httpd)$/,
    null,
    "it switches keepalive on for its clients; the times are the system's: deadpeer plan --for sysctl",
  ),
  program(
    "mongodb",
    "MongoDB",
    /^mongo[ds]$/,
    null,
    "it switches keepalive on; its times are the system's, but 300 s at the most: deadpeer plan --for sysctl",
  ),
  runtime("node", "Node.js", /^(node|nodejs)$/, "node"),
  runtime("python", "Python", /^(python|pypy)[\d.]*$/, "python"),
  runtime("java", "Java", /^java$/, "java"),
  runtime("erlang", "Erlang", /^beam(\.smp)?$/, null),
  runtime("ruby", "Ruby", /^ruby[\d.]*$/, null),
  runtime("php", "PHP", /^php(-fpm|-cgi)?[\d.]*$/, null),
  runtime("perl", "Perl", /^perl[\d.]*$/, null),
  runtime("dotnet", ".NET", /^dotnet$/, null),
  runtime("deno", "Deno", /^deno$/, null),
  runtime("bun", "Bun", /^bun$/, null),
];

function program(
  id: string,
  title: string,
  names: RegExp,
  target: string | null,
  instead?: string,
): KnownProgram {
  return { id, title, kind: "program", names, target, ...(instead === undefined ? {} : { instead }) };
}

function runtime(id: string, title: string, names: RegExp, target: string | null): KnownProgram {
  return { id, title, kind: "runtime", names, target };
}
