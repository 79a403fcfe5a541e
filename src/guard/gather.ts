import type { Socket } from "node:net";
import { libcProblem } from "../kernel/libc.js";
import { pendingError } from "../kernel/pending-error.js";
import { readTcpInfo } from "../kernel/tcp-info.js";
import { detectionTimes } from "../plan/model.js";
import type { Settings } from "../plan/settings.js";
import type { Evidence, TcpFigures } from "../verdict/evidence.js";
import { figuresRegime } from "../verdict/regime.js";
import { heldSettings } from "./apply.js";
import { baseFd } from "./inner-socket.js";
import { type Elapsed, lateMs, suspendedMs } from "./pause.js";

/** What the guard itself knows when its socket is destroyed. */
export interface Known {
  readonly at: number;
  /** Since the guard began. */
  readonly elapsed: Elapsed;
  /** The socket has never been connected. */
  readonly connecting: boolean;
  /** The end of the peer's data was read before our own side ended. */
  readonly peerEndedFirst: boolean;
  readonly settings: Settings;
}

/**
 * Everything that can be known about a socket's end, read while its descriptor is still open: Node closes it on the way to
 * 'error' and 'close'. Never throws.
 */
export function gatherEvidence(socket: Socket, error: Error | null, known: Known): Evidence {
  const fd = baseFd(socket);
  const figures = figuresOf(fd);
  const { connecting } = known;
  const untold = error === null ? untoldErrno(socket, fd, figures) : null;
  const errno = untold ?? ownErrno(error, connecting, figures);
  const settings = (errno === null ? null : heldSettings(fd)) ?? known.settings;
  return {
    at: known.at,
    errno,
    peerFin:
      (known.peerEndedFirst && untold === null) ||
      figures?.state === "CLOSE_WAIT" ||
      figures?.state === "LAST_ACK",
    closedBy: endedElsewhere(socket, errno, figures, connecting) ? null : "program",
    programError: errno === null && error !== null ? nameOf(error) : null,
    connecting,
    ageMs: known.elapsed.monotonicMs,
    figures,
    settings,
    selfPausedMs: suspendedMs(known.elapsed) ?? late(errno, figures, settings, known.elapsed),
  };
}

/**
 * How a connection has ended of which this side has not read the end: by the peer's FIN, or by an error, which the kernel tells once and
 * has now told. null: it stands, or cannot be asked.
 *
 * @example unreadEnd(fd) // { errno: "ECONNRESET", figures: { state: "CLOSE", … } }
 */
export function unreadEnd(fd: number): Pick<Evidence, "errno" | "peerFin" | "resetSeen" | "figures"> | null {
  const figures = figuresOf(fd);
  if (figures?.state === "CLOSE_WAIT") return { peerFin: true, figures };
  if (figures?.state !== "CLOSE") return null;
  const errno = pendingError(fd);
  // tcp_reset gives EPIPE where the peer's FIN had come before.
  if (errno === "EPIPE") return { peerFin: true, figures };
  // Without an error: somebody has just read it, and is about to tell.
  return errno === null ? { resetSeen: true, figures } : { errno, figures };
}

/** The figures that verdicts lean on; null without a descriptor, off Linux and without koffi. */
export function figuresOf(fd: number): (TcpFigures & { readonly state: string }) | null {
  if (fd < 0 || libcProblem() !== null) return null;
  try {
    const info = readTcpInfo(fd);
    return {
      state: info.state,
      retransmits: info.retransmits,
      probes: info.probes,
      unacked: info.unacked,
      notsentBytes: info.notsentBytes,
      sndWnd: info.sndWnd,
      lastDataSentMs: info.lastDataSentMs,
      lastDataRecvMs: info.lastDataRecvMs,
      lastAckRecvMs: info.lastAckRecvMs,
    };
  } catch {
    return null;
  }
}

const connectCalls = new Set(["connect", "bind", "getaddrinfo"]);
const transferCalls = new Set(["read", "write", "writev", "shutdown"]);

/**
 * The name of the error that this very socket met, or null. A program may destroy one socket with the error of another
 * (stream.pipeline does), so an error counts only where it comes from a call that fits, and, once connected, where the kernel
 * has ended the connection. (An ICMP error can fail a connect and leave the socket in SYN_SENT.)
 */
function ownErrno(error: unknown, connecting: boolean, figures: TcpFigures | null): string | null {
  // One failed attempt per address (autoSelectFamily): the last is the one the handle at hand has seen.
  const met = error instanceof AggregateError ? (error.errors.at(-1) as unknown) : error;
  const { code, errno, syscall } = (met ?? {}) as NodeJS.ErrnoException;
  if (typeof code !== "string" || typeof errno !== "number" || syscall === undefined) return null;
  if (!(connecting ? connectCalls : transferCalls).has(syscall)) return null;
  return connecting || figures === null || figures.state === "CLOSE" ? code : null;
}

/**
 * What ended the connection where Node was told only that it is at its end: libuv makes that of data and an error that arrive
 * together (uv__stream_io, POLLHUP after a read that did not fill its buffer). The error is then still with the kernel.
 */
function untoldErrno(socket: Socket, fd: number, figures: TcpFigures | null): string | null {
  if (figures?.state !== "CLOSE" || !socket.readableEnded) return null;
  const errno = pendingError(fd);
  // tcp_reset gives this where the peer's end had come before: then that is what was read.
  return errno === "EPIPE" ? null : errno;
}

/**
 * Destroyed without an error of its own, yet the kernel had given the connection up before either side ended it: whoever stands
 * on top of this socket, such as TLS, was given the error in its place.
 */
function endedElsewhere(
  socket: Socket,
  errno: string | null,
  figures: TcpFigures | null,
  connecting: boolean,
): boolean {
  if (errno !== null) return true;
  if (figures?.state !== "CLOSE" || connecting) return false;
  return !socket.writableEnded && !socket.readableEnded;
}

function late(
  errno: string | null,
  figures: TcpFigures | null,
  settings: Settings,
  elapsed: Elapsed,
): number | null {
  if (errno !== "ETIMEDOUT" || figures === null || figuresRegime(figures) !== "idle") return null;
  const { idleMs } = detectionTimes(settings);
  const silentMs = Math.min(figures.lastAckRecvMs ?? 0, figures.lastDataRecvMs ?? 0);
  return idleMs === null ? null : lateMs(silentMs, elapsed.monotonicMs, idleMs);
}

function nameOf(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  return typeof code === "string" && code !== "" ? code : error.name;
}
