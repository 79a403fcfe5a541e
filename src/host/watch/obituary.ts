import type { DiagEndpoint } from "../../kernel/sock-diag.js";
import type { TcpState } from "../../kernel/tcp-states.js";
import type { Verdict } from "../../verdict/verdict.js";
import type { ConnectionKeepalive } from "../connection.js";

/** A process that held a connection. */
export interface ConnectionProcess {
  readonly pid: number;
  /** `(gone)`: it ended before its name could be read. */
  readonly name: string;
  /** The descriptor it held it by; null: it was seen acting on the connection, and by which is not known. */
  readonly fd: number | null;
}

/** The end of one TCP connection of this host: a line of `deadpeer watch --json`. */
export interface Obituary {
  /** ISO 8601. */
  readonly at: string;
  /** The network namespace's name, else a path that led there; null: it could not be found out. */
  readonly netns: string | null;
  readonly family: 4 | 6;
  readonly local: DiagEndpoint;
  readonly remote: DiagEndpoint;
  /** Before the end. SYN_SENT: the connection was never made. */
  readonly state: TcpState;
  /** Which side began it; null: it began before the watch. */
  readonly direction: "outgoing" | "incoming" | null;
  /** Empty: nobody was seen with it. */
  readonly processes: readonly ConnectionProcess[];
  /** null: not known. */
  readonly lifetimeMs: number | null;
  /** It began before the watch: it was at least as old as `lifetimeMs`. */
  readonly lifetimeAtLeast: boolean;
  /** Each byte once, however often it was sent; null: not known. */
  readonly bytes: { readonly sent: number; readonly received: number } | null;
  /** As last read from the socket; null: off, or not known, as `settingsKnown` says. */
  readonly keepalive: ConnectionKeepalive | null;
  readonly userTimeoutMs: number | null;
  readonly settingsKnown: boolean;
  readonly verdict: Verdict;
  /** `trace`: from the kernel's events. `list`: it was there and then it was not, and the rest is concluded. */
  readonly source: "trace" | "list";
}
