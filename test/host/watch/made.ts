import { endsOf } from "../../../src/host/watch/ends.js";
import type { Sample } from "../../../src/host/watch/sample.js";
import type {
  Destroyed,
  ErrorReport,
  StateChange,
  TraceEvent,
} from "../../../src/host/watch/trace-events.js";
import type { TcpState } from "../../../src/kernel/tcp-states.js";

export const ends = endsOf("10.0.0.1", 40_000, "10.0.0.5", 5_432);
export const otherEnds = endsOf("10.0.0.1", 40_001, "10.0.0.5", 5_432);
export const socket = 0x1f_8881_0000_0000;
export const program = 4711;

/** Milliseconds of an event's clock. */
export const at = (ms: number): number => 1_000_000_000 + ms * 1e6;

/** A change of state, by the program itself or, without one, by a packet or a timer. */
export function change(
  ms: number,
  from: TcpState,
  to: TcpState,
  { tid = 0, of = socket, between = ends } = {},
): StateChange {
  return {
    kind: "state",
    timeNs: at(ms),
    tid,
    itself: tid !== 0,
    socket: of,
    from,
    to,
    ends: to === "CLOSE" ? between : null,
  };
}

export function errorReport(ms: number, errno: string, between = ends): ErrorReport {
  return { kind: "error", timeNs: at(ms), errno, ends: between };
}

export function resetReceived(ms: number, cookie: number | null = null): TraceEvent {
  return { kind: "reset-received", timeNs: at(ms), tid: 0, itself: false, socket, cookie };
}

export function resetSent(ms: number, reason: string | null, tid = 0): TraceEvent {
  return { kind: "reset-sent", timeNs: at(ms), tid, itself: tid !== 0, socket, reason };
}

export function destroyed(ms: number, cookie: number | null = 77, tid = 0): Destroyed {
  return { kind: "destroyed", timeNs: at(ms), tid, itself: tid !== 0, socket, cookie };
}

export function exit(ms: number, tid = program): TraceEvent {
  return { kind: "exit", timeNs: at(ms), tid, name: "program" };
}

/** An idle connection's figures, but for what a test cares about. */
export function sample(fields: Partial<Sample> = {}): Sample {
  return {
    atMs: at(0) / 1e6,
    retransmits: 0,
    probes: 0,
    unacked: 0,
    notsentBytes: 0,
    sndWnd: 64_000,
    lastDataSentMs: 4_000,
    lastDataRecvMs: 4_000,
    lastAckRecvMs: 4_000,
    bytesSent: 10,
    bytesReceived: 20,
    ...fields,
  };
}
