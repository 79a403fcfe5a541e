import type { Socket } from "node:net";
import { baseFd } from "../../guard/inner-socket.js";
import { libcProblem } from "../../kernel/libc.js";
import { peekTcpInfo } from "../../kernel/tcp-info.js";
import type { Phase, Sight } from "./assess.js";
import type { Held } from "./held.js";
import { httpState, queuedBytes } from "./internals.js";

/** One for all: a look is over before the next begins. */
type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** Looks at a connection. What it gives holds until the next look. */
export function look(held: Held): Sight {
  const { socket, session } = held;
  const app = held.app ?? socket;
  sight.phaseMs = 0;
  sight.streamsMs = session?.movedMs ?? null;
  sight.uploading = false;
  sight.http = false;
  sight.phase = phaseOf(held, app);
  sight.read = socket.bytesRead - held.preface;
  const queued = queuedBytes(socket);
  sight.waiting = queued + app.writableLength + (session?.waiting ?? 0);
  sight.outstanding = sight.waiting > 0;
  sight.taken = socket.bytesWritten - queued - app.writableLength;
  sight.readAgeMs = null;
  sight.takenAgeMs = null;
  if (!standsStill(held)) askKernel(socket);
  return sight;
}

/**
 * Nothing has come since the last look, and nothing is under way but what the kernel then said the peer has: most looks at most
 * connections, and the kernel has nothing to add. It counts the SYN as a byte that was acknowledged (tcp_ack, snd_una).
 */
function standsStill(held: Held): boolean {
  const { phase, outstanding, read, taken } = sight;
  const still =
    phase === "idle" &&
    !outstanding &&
    read === held.read &&
    (taken === held.taken || taken + 1 === held.taken);
  if (!still || held.session !== null || libcProblem() !== null) return false;
  sight.taken = held.taken;
  sight.readAgeMs = sight.takenAgeMs = 0;
  return true;
}

const sight: Writable<Sight> = {
  phase: "open",
  phaseMs: 0,
  read: 0,
  taken: 0,
  readAgeMs: null,
  takenAgeMs: null,
  streamsMs: null,
  outstanding: false,
  waiting: 0,
  uploading: false,
  http: false,
};

function phaseOf(held: Held, app: Socket): Phase {
  const { session } = held;
  if (held.secure && held.app === null) return "handshake";
  if (session !== null) {
    sight.http = true;
    sight.uploading = session.uploading;
    const awaitingMs = session.awaitingMs;
    if (awaitingMs !== null) {
      sight.phaseMs = awaitingMs;
      return "head";
    }
    return session.open > 0 ? "request" : "idle";
  }
  const http = httpState(app);
  if (http === null) return isAnswered(held, app) ? "open" : "request";
  sight.http = true;
  const { response, readingMs, headComplete, withheld } = http;
  if (response === null && readingMs > 0 && !headComplete) {
    sight.phaseMs = readingMs;
    return "head";
  }
  // While the program does not read, or let it send, the peer is not to blame.
  sight.uploading = readingMs > 0 && headComplete && !withheld && !app.isPaused();
  return response !== null || readingMs > 0 ? "request" : "idle";
}

/** Who asks for an upgrade, or for a tunnel, waits for its answer as with any request. */
function isAnswered(held: Held, app: Socket): boolean {
  if (held.upgradeAt >= 0 && app.bytesWritten !== held.upgradeAt) held.upgradeAt = -1;
  return held.upgradeAt < 0;
}

/** The kernel knows what the peer has acknowledged and when data last moved. */
function askKernel(socket: Socket): void {
  const fd = baseFd(socket);
  if (fd < 0 || libcProblem() !== null) return;
  try {
    const info = peekTcpInfo(fd);
    const { bytesAcked, notsentBytes } = info;
    if (bytesAcked === null) return;
    const outstanding = info.unacked > 0 || (notsentBytes ?? 0) > 0;
    sight.taken = bytesAcked;
    sight.waiting += notsentBytes ?? 0;
    sight.outstanding ||= outstanding;
    sight.readAgeMs = info.lastDataRecvMs;
    sight.takenAgeMs = outstanding ? info.lastAckRecvMs : info.lastDataSentMs;
  } catch {
    // Closed meanwhile.
  }
}
