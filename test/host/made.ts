import type { Connection } from "../../src/host/connection.js";
import { settingsOfSocket } from "../../src/host/seen-settings.js";
import type { SocketFacts } from "../../src/host/socket-facts.js";
import { decodeTcpInfo, type TcpInfo } from "../../src/kernel/tcp-info.js";

/** A tcp_info of nothing but zeros, but for what a test cares about. */
export function madeInfo(fields: Partial<TcpInfo> = {}): TcpInfo {
  return { ...decodeTcpInfo(Buffer.alloc(280)), sndWnd: 65_536, ...fields };
}

/** An idle connection to another host, but for what a test cares about. */
export function madeFacts(fields: Partial<SocketFacts> = {}): SocketFacts {
  return {
    cookie: "1",
    inode: 4711,
    state: "ESTABLISHED",
    timer: { kind: "none", expiresMs: 0, retransmits: 0 },
    local: { address: "10.0.0.1", port: 40_000 },
    remote: { address: "10.0.0.5", port: 5_432 },
    sendQueue: 0,
    info: madeInfo(),
    ...fields,
  };
}

/** What a socket with these settings says when it is read. */
export function seenSettings(
  keepalive: readonly [idleMs: number, intervalMs: number, count: number] | null,
  userTimeoutMs = 0,
): ReturnType<typeof settingsOfSocket> {
  const [idleMs, intervalMs, count] = keepalive ?? [7_200_000, 75_000, 9];
  return settingsOfSocket({
    keepalive: { enabled: keepalive !== null, idleMs, intervalMs, count },
    userTimeoutMs,
    rtoMaxMs: 120_000,
  });
}

/** An element of `ls --json`, bare and idle, but for what a test cares about. */
export function madeConnection(fields: Partial<Connection> = {}): Connection {
  return {
    family: 4,
    local: { address: "10.0.0.1", port: 40_000 },
    remote: { address: "10.0.0.5", port: 5_432 },
    state: "ESTABLISHED",
    inode: 4711,
    uid: 0,
    cookie: "1",
    processes: [{ pid: 812, name: "postgres", fd: 9 }],
    keepalive: { enabled: false, idleMs: 7_200_000, intervalMs: 75_000, count: 9 },
    userTimeoutMs: 0,
    settingsFrom: "socket",
    timer: { kind: "none", expiresMs: 0, retransmits: 0 },
    regime: "idle",
    lastHeardMs: 3_000,
    queues: { receive: 0, send: 0 },
    detection: {
      idleMs: null,
      sendingMs: 924_600,
      zeroWindowMs: null,
      nowMs: null,
      worstMs: null,
      deadPeerMs: null,
    },
    findings: [
      { code: "no-keepalive", message: "keepalive is off" },
      { code: "no-user-timeout", message: "no user timeout" },
    ],
    ...fields,
  };
}

/** The same with keepalive 60/10/3 and user timeout 90 s: nothing to find. */
export function protectedConnection(fields: Partial<Connection> = {}): Connection {
  const ms = 90_000;
  return madeConnection({
    keepalive: { enabled: true, idleMs: 60_000, intervalMs: 10_000, count: 3 },
    userTimeoutMs: ms,
    timer: { kind: "keepalive", expiresMs: 59_000, retransmits: 0 },
    detection: { idleMs: ms, sendingMs: ms, zeroWindowMs: ms, nowMs: ms, worstMs: ms, deadPeerMs: ms },
    findings: [],
    ...fields,
  });
}
