import type { Regime } from "../plan/model.js";
import type { TcpFigures } from "./evidence.js";

/**
 * What a connection is doing, or was doing when the kernel gave it up, read from its tcp_info.
 *
 * @example figuresRegime({ state: "ESTABLISHED", unacked: 0, notsentBytes: 0 }) // "idle"
 */
export function figuresRegime(figures: TcpFigures): Regime {
  switch (figures.state) {
    case "SYN_SENT":
    case "SYN_RECV":
    case "NEW_SYN_RECV":
      return "connecting";
    case "FIN_WAIT1":
    case "FIN_WAIT2":
    case "CLOSING":
    case "LAST_ACK":
    case "TIME_WAIT":
      return "closing";
    case "LISTEN":
      return "none";
    default:
      return transferRegime(figures);
  }
}

/**
 * The order matters: `probes` stays at its old value when the retransmission timer takes over in the middle of keepalive
 * probing, so retransmissions speak first. Keepalive probes are only sent with nothing queued (tcp_keepalive_timer), so probes
 * with something queued are window probes.
 */
function transferRegime(figures: TcpFigures): Regime {
  const queued = positive(figures.notsentBytes);
  if (positive(figures.retransmits)) return "sending";
  if (figures.sndWnd === 0 && (queued || positive(figures.unacked))) return "zero-window";
  if (positive(figures.probes)) return queued ? "zero-window" : "idle";
  if (positive(figures.unacked) || queued) return "sending";
  // A death empties the queue, but not the clocks: data sent after the last acknowledgement was still in flight.
  if (figures.state === "CLOSE" && sentSinceHeard(figures)) return "sending";
  return "idle";
}

function positive(value: number | null | undefined): boolean {
  return typeof value === "number" && value > 0;
}

function sentSinceHeard({ lastDataSentMs, lastAckRecvMs }: TcpFigures): boolean {
  return (
    typeof lastDataSentMs === "number" && typeof lastAckRecvMs === "number" && lastDataSentMs < lastAckRecvMs
  );
}
