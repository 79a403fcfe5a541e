import type { TcpInfo } from "../../kernel/tcp-info.js";
import type { TcpFigures } from "../../verdict/evidence.js";

/** A connection's figures at one moment. */
export interface Sample {
  /** CLOCK_MONOTONIC. */
  readonly atMs: number;
  readonly retransmits: number;
  readonly probes: number;
  readonly unacked: number;
  readonly notsentBytes: number | null;
  readonly sndWnd: number | null;
  readonly lastDataSentMs: number;
  readonly lastDataRecvMs: number;
  readonly lastAckRecvMs: number;
  /** Each byte once, however often it was sent; null before Linux 4.1. */
  readonly bytesSent: number | null;
  /** The peer's FIN counts as one. */
  readonly bytesReceived: number | null;
}

export function sampleOf(info: TcpInfo, atMs: number): Sample {
  const { bytesSent, bytesRetransmitted, bytesAcked } = info;
  return {
    atMs,
    retransmits: info.retransmits,
    probes: info.probes,
    unacked: info.unacked,
    notsentBytes: info.notsentBytes,
    sndWnd: info.sndWnd,
    lastDataSentMs: info.lastDataSentMs,
    lastDataRecvMs: info.lastDataRecvMs,
    lastAckRecvMs: info.lastAckRecvMs,
    // Before Linux 4.19 there is only what was acknowledged, which counts SYN and FIN.
    bytesSent:
      bytesSent === null || bytesRetransmitted === null ? bytesAcked : bytesSent - bytesRetransmitted,
    bytesReceived: info.bytesReceived,
  };
}

/**
 * The figures as they were, or must have been, at another moment: nothing was heard in between. Before the sample the clocks stood
 * lower, and never below zero.
 *
 * @param wasHeard false for a connection whose SYN was never answered: what its clocks count from means nothing, as nothing was
 *   sent but SYNs (tcp_event_data_sent) and nothing was received.
 */
export function figuresAt(sample: Sample, atMs: number, state: string, wasHeard: boolean): TcpFigures {
  const later = atMs - sample.atMs;
  const shifted = (ms: number): number | null => (wasHeard ? Math.max(0, Math.round(ms + later)) : null);
  return {
    state,
    retransmits: sample.retransmits,
    probes: sample.probes,
    unacked: sample.unacked,
    notsentBytes: sample.notsentBytes,
    sndWnd: sample.sndWnd,
    lastDataSentMs: shifted(sample.lastDataSentMs),
    lastDataRecvMs: shifted(sample.lastDataRecvMs),
    lastAckRecvMs: shifted(sample.lastAckRecvMs),
  };
}
