import type { Socket } from "node:net";
import { DeadpeerError } from "../../errors.js";
import { baseFd } from "../../guard/inner-socket.js";
import { systemClock } from "../../kernel/clock.js";
import { peekTcpInfo, type TcpInfo } from "../../kernel/tcp-info.js";
import type { Packets, WireEnd } from "./wire.js";

/** What the kernel knows of a connection; null once there is no socket, or where it cannot be asked. */
export function infoOf(socket: Socket): TcpInfo | null {
  const fd = baseFd(socket);
  if (fd < 0) return null;
  try {
    return peekTcpInfo(fd);
  } catch (error) {
    if (error instanceof DeadpeerError) return null;
    throw error;
  }
}

/** When the last data arrived, on the monotonic clock; now, where the kernel cannot be asked. */
export function dataArrivedMs(socket: Socket): number {
  return systemClock.monotonic() - (infoOf(socket)?.lastDataRecvMs ?? 0);
}

/** When the last segment arrived, a FIN too (tcp_ack sets rcv_tstamp); now, where the kernel cannot be asked. */
export function segmentArrivedMs(socket: Socket): number {
  return systemClock.monotonic() - (infoOf(socket)?.lastAckRecvMs ?? 0);
}

/** The other end's FIN or RST, as the state shows it; null: none, or the kernel cannot be asked. */
export function receivedEnd(socket: Socket): WireEnd | null {
  switch (infoOf(socket)?.state) {
    case "CLOSE_WAIT":
      return { by: "fin", atMs: segmentArrivedMs(socket), announced: false };
    case "CLOSE":
      // A reset leaves no time behind (tcp_reset).
      return { by: "rst", atMs: systemClock.monotonic(), announced: false };
    default:
      return null;
  }
}

/** Those of both ways (Linux 4.2). */
export function packetsOf(socket: Socket): Packets {
  const info = infoOf(socket);
  if (info === null || info.segmentsIn === null || info.segmentsOut === null) return null;
  return info.segmentsIn + info.segmentsOut;
}

/** As the kernel has smoothed it. */
export function rttMsOf(socket: Socket): number | null {
  const info = infoOf(socket);
  return info === null ? null : info.rttUs / 1_000;
}
