import type { SocketHolder } from "../kernel/processes.js";
import type { DiagTimer, SocketRecord } from "../kernel/sock-diag.js";
import type { TcpState } from "../kernel/tcp-states.js";
import type { Regime } from "../plan/model.js";
import type { Assessment } from "./assessment.js";
import type { Connection, ConnectionDetection, ConnectionKeepalive, SettingsSource } from "./connection.js";
import type { Finding } from "./findings.js";
import { lastHeardMs } from "./regime.js";

const nothingKnown: ConnectionDetection = {
  idleMs: null,
  sendingMs: null,
  zeroWindowMs: null,
  nowMs: null,
  worstMs: null,
  deadPeerMs: null,
};

/**
 * The connection that a walk has reached. One object shows them all, each until the walk goes on: tens of thousands of objects,
 * with four more in each, would cost as much as the kernel's part.
 */
export class PassingConnection implements Omit<Connection, "cookie"> {
  family: 4 | 6 = 4;
  readonly local = { address: "", port: 0 };
  readonly remote = { address: "", port: 0 };
  state: TcpState = "UNKNOWN";
  inode = 0;
  uid = 0;
  /** In decimal only where it does not fit into a number. */
  cookie: number | string = 0;
  processes: readonly SocketHolder[] = [];
  keepalive: ConnectionKeepalive | null = null;
  userTimeoutMs: number | null = null;
  settingsFrom: SettingsSource = "unknown";
  readonly timer: { kind: DiagTimer["kind"]; expiresMs: number; retransmits: number } = {
    kind: "none",
    expiresMs: 0,
    retransmits: 0,
  };
  regime: Regime = "none";
  lastHeardMs: number | null = null;
  readonly queues = { receive: 0, send: 0 };
  detection: ConnectionDetection = nothingKnown;
  findings: readonly Finding[] = [];
  netns: string | undefined = undefined;

  /** Shows this one from now on. */
  show(socket: SocketRecord, processes: readonly SocketHolder[], assessment: Assessment): void {
    const { local, remote, timer, queues } = this;
    const { state, timerKind, seen } = assessment;
    this.family = socket.family;
    local.address = socket.localAddress;
    local.port = socket.localPort;
    remote.address = socket.remoteAddress;
    remote.port = socket.remotePort;
    this.state = state;
    this.inode = socket.inode;
    this.uid = socket.uid;
    this.cookie = socket.plainCookie;
    this.processes = processes;
    this.keepalive = seen.keepalive;
    this.userTimeoutMs = seen.userTimeoutMs;
    this.settingsFrom = seen.settingsFrom;
    timer.kind = timerKind;
    timer.expiresMs = timerKind === "none" ? 0 : socket.expiresMs;
    timer.retransmits = timerKind === "none" ? 0 : socket.retransmits;
    this.regime = assessment.regime;
    this.lastHeardMs = lastHeardMs(state, socket.lastReceivedMs);
    queues.receive = socket.receiveQueue;
    queues.send = socket.sendQueue;
    this.detection = assessment.detection;
    this.findings = assessment.findings;
  }

  /** One to keep. */
  copy(): Connection {
    const { netns, ...fields } = this;
    const connection: Connection = {
      ...fields,
      cookie: String(this.cookie),
      local: { ...this.local },
      remote: { ...this.remote },
      timer: { ...this.timer },
      queues: { ...this.queues },
    };
    return netns === undefined ? connection : { ...connection, netns };
  }
}
