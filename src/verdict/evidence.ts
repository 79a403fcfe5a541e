import type { Regime } from "../plan/model.js";
import type { Settings } from "../plan/settings.js";

/** Which of the kernel's or our own timers can notice that the peer is gone; `none`: no timer was needed. */
export const timers = [
  "keepalive",
  "retransmit",
  "zero-window",
  "user-timeout",
  "heartbeat",
  "none",
] as const;
export type Timer = (typeof timers)[number];

/**
 * The figures of tcp_info that tell how a connection died. They are readable until the socket is closed: tcp_write_err empties
 * the write queue (in flight and backoff read 0 from then on) but leaves these as they were.
 */
export interface TcpFigures {
  /** The kernel's name of the state, `CLOSE` once the kernel has given the connection up. */
  readonly state?: string | null;
  /** Retransmission timeouts in a row without an answer. */
  readonly retransmits?: number | null;
  /** Unanswered keepalive or window probes; stale once the retransmission timer has taken over. */
  readonly probes?: number | null;
  /** Segments in flight; always 0 after a death. */
  readonly unacked?: number | null;
  /** Bytes written but never sent; Linux 4.6 and later. */
  readonly notsentBytes?: number | null;
  /** The window the peer last offered; Linux 5.4 and later. */
  readonly sndWnd?: number | null;
  readonly lastDataSentMs?: number | null;
  readonly lastDataRecvMs?: number | null;
  readonly lastAckRecvMs?: number | null;
}

/** What the program's own heartbeats say: TCP was alive, but nobody answered. */
export interface HeartbeatEvidence {
  /** Heartbeats in a row that were not answered. */
  readonly missed: number;
  /** Since the peer's program last answered one; absent or null: it never did. */
  readonly lastAnswerMs?: number | null;
}

/**
 * Everything known about the end of one connection, wherever it was seen: at a socket of this process, in a capture, or in the
 * kernel's trace events. Every field but the time is optional, and any combination gives a verdict; more evidence makes it
 * more certain.
 */
export interface Evidence {
  /** When the end was noticed, milliseconds since 1970. */
  readonly at: number;
  /** The error that this very connection ended with, by name, e.g. `ETIMEDOUT`. */
  readonly errno?: string | null;
  /** The peer's FIN arrived, and before ours was sent. */
  readonly peerFin?: boolean;
  /** An RST from the peer, or in its name, was seen. */
  readonly resetSeen?: boolean;
  /** What a router reported, in words such as `host unreachable`. */
  readonly icmp?: string | null;
  /** Who on our side closed the connection while it still stood, if anybody did; `exit`: the program ended, and its kernel did. */
  readonly closedBy?: "program" | "exit" | "policy" | null;
  /** Who ended the connection in the kernel (SOCK_DESTROY), e.g. `ss (process 4711)`. */
  readonly destroyedBy?: string | null;
  /** The policy in words, e.g. `the idle limit of 5m`. */
  readonly policy?: string | null;
  /** Code or name of the error for which the program closed the connection, e.g. `ERR_TLS_CERT_ALTNAME_INVALID`. */
  readonly programError?: string | null;
  /** The connection had not been established yet. */
  readonly connecting?: boolean;
  /** How long the connection, or the attempt to connect, has existed. */
  readonly ageMs?: number | null;
  /** Since data or an acknowledgement last came from the peer; absent: as `figures` tell. */
  readonly lastHeardMs?: number | null;
  readonly figures?: TcpFigures | null;
  readonly settings?: Settings | null;
  readonly heartbeat?: HeartbeatEvidence | null;
  /** The regime and the timer, from a source that knows them better than the figures (a trace event's `reason`). */
  readonly regime?: Regime | null;
  readonly timer?: Timer | null;
  /** For how long this process or machine did not run shortly before. */
  readonly selfPausedMs?: number | null;
}
