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
  askKernel(socket);
  return sight;
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

function phaseOf({ session, secure, app: above }: Held, app: Socket): Phase {
  if (secure && above === null) return "handshake";
  if (session !== null) {
    sight.http = true;
    sight.uploading = session.uploading;
    return session.open > 0 ? "request" : "idle";
  }
  const http = httpState(app);
  if (http === null) return "open";
  sight.http = true;
  const { response, readingMs, headComplete } = http;
  if (response === null && readingMs > 0 && !headComplete) {
    sight.phaseMs = readingMs;
    return "head";
  }
  // While the program does not read, the peer cannot send, and is not to blame.
  sight.uploading = readingMs > 0 && headComplete && !app.isPaused();
  return response !== null || readingMs > 0 ? "request" : "idle";
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
