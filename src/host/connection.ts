import type { SocketHolder } from "../kernel/processes.js";
import type { DiagSocket } from "../kernel/sock-diag.js";
import type { TcpState } from "../kernel/tcp-states.js";
import type { KeepaliveSettings } from "../plan/settings.js";
import type { Regime } from "../plan/model.js";
import type { Finding } from "./findings.js";

/**
 * Where a connection's settings come from. `socket`: read from the socket itself. `timer`: the kernel's list shows only whether
 * keepalive is on; its times are then the system's defaults. `unknown`: not even that, because another timer hides it.
 */
export type SettingsSource = "socket" | "timer" | "unknown";

/** How long a dead peer goes unnoticed, by regime; null is "never". */
export interface ConnectionDetection {
  readonly idleMs: number | null;
  readonly sendingMs: number | null;
  /** The peer keeps its window at zero and answers the probes: it lives, and the connection lasts as long as it likes. */
  readonly zeroWindowMs: number | null;
  /** The regime that the connection is in now. */
  readonly nowMs: number | null;
  /** The slowest regime, a living peer's zero window included. */
  readonly worstMs: number | null;
  /** The slowest regime in which the peer is really gone: what `--slower-than` and the summary line ask for. */
  readonly deadPeerMs: number | null;
}

export interface ConnectionKeepalive extends KeepaliveSettings {
  readonly enabled: boolean;
}

/** One TCP connection of this machine: an element of `deadpeer ls --json`. */
export interface Connection {
  readonly family: 4 | 6;
  readonly local: DiagSocket["local"];
  readonly remote: DiagSocket["remote"];
  readonly state: TcpState;
  /** 0: no process holds the socket any more, or none ever did. */
  readonly inode: number;
  readonly uid: number;
  /** The kernel's identity of the socket, in decimal: it does not fit into a number. */
  readonly cookie: string;
  /** Empty also when the processes were not looked at. */
  readonly processes: readonly SocketHolder[];
  /** null: off, or unknown; `settingsFrom` says which. */
  readonly keepalive: ConnectionKeepalive | null;
  /** null: unknown. */
  readonly userTimeoutMs: number | null;
  readonly settingsFrom: SettingsSource;
  readonly timer: DiagSocket["timer"];
  readonly regime: Regime;
  /** Time since the peer's last packet that carried data or an acknowledgement; null: never, or the kernel no longer says. */
  readonly lastHeardMs: number | null;
  readonly queues: { readonly receive: number; readonly send: number };
  readonly detection: ConnectionDetection;
  readonly findings: readonly Finding[];
  /** The network namespace, where several were asked for: its name, else the path it was reached by. */
  readonly netns?: string | undefined;
}

/** A peer on this very host cannot be cut off by a network: when it ends, this kernel tells our side at once. */
export function withinHost({ local, remote }: Pick<Connection, "local" | "remote">): boolean {
  return local.address === remote.address || remote.address.startsWith("127.") || remote.address === "::1";
}
