import type { Evidence } from "./evidence.js";
import type { KeepaliveSettings } from "./settings.js";

/** What a program or library does about dead and idle peers unless it is told otherwise. */
export interface ProgramDefaults {
  readonly id: string;
  readonly name: string;
  /**
   * TCP keepalive as the program sets it; "system": on, with the system's times; null: left off; absent: not looked up, its own
   * heartbeat or idle limit is what matters.
   */
  readonly keepalive?: KeepaliveSettings | "system" | null;
  /** In one sentence, what else there is and what to know. */
  readonly note: string;
  readonly source: string;
  readonly evidence: Evidence;
}

export const programs: readonly ProgramDefaults[] = [
  {
    id: "go",
    name: "Go, dialer and listener",
    keepalive: { idleMs: 15_000, intervalMs: 15_000, count: 9 },
    note: "on for every connection; no user timeout",
    source: "net/dial.go",
    evidence: "documented",
  },
  {
    id: "node",
    name: "Node.js",
    keepalive: null,
    note: "setKeepAlive takes the idle time, floored to s; interval 1 s and count 10 can be set since 26.4",
    source: "Node.js documentation, net.Socket.setKeepAlive",
    evidence: "documented",
  },
  {
    id: "undici",
    name: "undici",
    keepalive: { idleMs: 60_000, intervalMs: 1_000, count: 10 },
    note: "HTTP keepAliveTimeout 4 s, at most 600 s; interval and count are Node's",
    source: "undici documentation, Client",
    evidence: "documented",
  },
  {
    id: "postgresql",
    name: "PostgreSQL 15",
    keepalive: "system",
    note: "tcp_keepalives_* 0 mean the system's times; tcp_user_timeout and client_connection_check_interval are off",
    source: "postgresql.conf.sample",
    evidence: "documented",
  },
  {
    id: "redis",
    name: "Redis 7",
    // anet.c, anetKeepAlive: the interval is a third of the time that is set, the count 3.
    keepalive: { idleMs: 300_000, intervalMs: 100_000, count: 3 },
    note: "tcp-keepalive 300; idle clients are never closed (timeout 0)",
    source: "redis.conf and src/anet.c",
    evidence: "documented",
  },
  {
    id: "haproxy",
    name: "HAProxy 2.6",
    keepalive: null,
    note: "option clitcpka and srvtcpka turn keepalive on; tcp-ut is the user timeout",
    source: "HAProxy configuration.txt",
    evidence: "documented",
  },
  {
    id: "openssh",
    name: "OpenSSH",
    keepalive: "system",
    note: "TCPKeepAlive yes; ServerAliveInterval, its own heartbeat, is off",
    source: "ssh_config(5)",
    evidence: "documented",
  },
  {
    id: "grpc",
    name: "gRPC",
    note: "client pings are off; a server refuses pings closer than 300 s with ENHANCE_YOUR_CALM after 2 strikes",
    source: "grpc, doc/keepalive.md",
    evidence: "documented",
  },
  {
    id: "rabbitmq",
    name: "RabbitMQ",
    note: "heartbeat 60 s: a frame each 30 s, dead after 2 missed",
    source: "RabbitMQ documentation, Heartbeats",
    evidence: "documented",
  },
  {
    id: "socket.io",
    name: "socket.io 4",
    note: "the server pings each 25 s and waits 20 s",
    source: "socket.io documentation, pingInterval and pingTimeout",
    evidence: "recalled",
  },
  {
    id: "kafka",
    name: "Kafka",
    note: "the broker closes idle connections after 600 s, the client after 540 s",
    source: "Kafka documentation, connections.max.idle.ms",
    evidence: "documented",
  },
  {
    id: "nginx",
    name: "nginx",
    note: "closes idle HTTP connections after 75 s (keepalive_timeout), upstream ones after 60 s",
    source: "nginx documentation, ngx_http_core_module and ngx_http_upstream_module",
    evidence: "documented",
  },
  {
    id: "mqtt",
    name: "MQTT",
    note: "the broker ends a client that is silent for 1.5 times its own Keep Alive",
    source: "MQTT 3.1.1 §3.1.2.10",
    evidence: "documented",
  },
  {
    id: "mysql",
    name: "MySQL",
    note: "wait_timeout closes connections that are idle for 28800 s",
    source: "MySQL reference manual",
    evidence: "recalled",
  },
];
