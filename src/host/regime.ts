import type { TcpState } from "../kernel/tcp-states.js";
import type { Regime } from "../plan/model.js";
import type { SocketFacts } from "./socket-facts.js";

/**
 * What a socket is doing, as far as detection goes.
 *
 * @example regimeOf(socket) // "idle": ESTABLISHED, nothing queued, nothing in flight
 */
export function regimeOf(socket: SocketFacts): Regime {
  switch (socket.state) {
    case "SYN_SENT":
    case "SYN_RECV":
    case "NEW_SYN_RECV":
      return "connecting";
    case "ESTABLISHED":
    case "CLOSE_WAIT":
      return transferRegime(socket);
    case "FIN_WAIT1":
    case "FIN_WAIT2":
    case "CLOSING":
    case "LAST_ACK":
    case "TIME_WAIT":
      return "closing";
    default:
      return "none";
  }
}

function transferRegime({ timer, sendQueue, info }: SocketFacts): Regime {
  if (timer.kind === "zero-window") return "zero-window";
  // tcp_retransmit_timer: with data in flight and the window shrunk to nothing, retransmissions count as window probes.
  if (sendQueue > 0 && info?.sndWnd === 0) return "zero-window";
  // The send queue counts what is unacknowledged, in flight or not (inet_diag: write_seq - snd_una).
  return sendQueue > 0 || timer.kind === "retransmit" ? "sending" : "idle";
}

/**
 * Time since anything was heard from the peer, as the kernel's own keepalive reckons it (keepalive_time_elapsed): the younger of
 * the last data and the last acknowledgement. null before the peer has answered at all, and where the kernel keeps no record.
 */
export function lastHeardMs(state: TcpState, lastReceivedMs: number | null): number | null {
  // Before the handshake is done the kernel's fields count from boot.
  return state === "SYN_SENT" || state === "SYN_RECV" || state === "LISTEN" ? null : lastReceivedMs;
}
