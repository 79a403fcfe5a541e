import { errnoName } from "../../kernel/errno.js";
import type { AddressTexts } from "../../kernel/diag-socket.js";
import { type TcpState, stateFromNumber } from "../../kernel/tcp-states.js";
import {
  type EventFormat,
  type FieldReader,
  numberReader,
  valueNames,
} from "../../kernel/trace/event-format.js";
import { endpointReader, type Ends } from "./ends.js";

/** Who was running when something happened. */
export interface Task {
  /** A thread's number, which need not be its process's. */
  readonly tid: number;
  /** It did it itself; otherwise a timer or a packet merely interrupted it. */
  readonly itself: boolean;
}

interface Happened {
  /** CLOCK_MONOTONIC. */
  readonly timeNs: number;
}

interface OfSocket extends Happened, Task {
  /** The kernel's address of the socket: the same from its first to its last event, and used again afterwards. */
  readonly socket: number;
}

export interface StateChange extends OfSocket {
  readonly kind: "state";
  readonly from: TcpState;
  readonly to: TcpState;
  /** Only of what goes to CLOSE. */
  readonly ends: Ends | null;
}

/** The error that the program will be given. The kernel does not say of which socket: the ends must do. */
export interface ErrorReport extends Happened {
  readonly kind: "error";
  readonly errno: string;
  readonly ends: Ends;
}

export interface ResetReceived extends OfSocket {
  readonly kind: "reset-received";
  /** As sock_diag shows it; null where the kernel does not say. */
  readonly cookie: number | null;
}

export interface ResetSent extends OfSocket {
  readonly kind: "reset-sent";
  /** The kernel's name for it; null where it gives none (before Linux 6.10). */
  readonly reason: string | null;
}

/** The program has let go of the socket, or the kernel of one that no program held. */
export interface Destroyed extends OfSocket {
  readonly kind: "destroyed";
  /** As sock_diag shows it; null where the kernel does not say. */
  readonly cookie: number | null;
}

/** A thread has ended; what it held, alone, is closed right after. */
export interface Exit extends Happened {
  readonly kind: "exit";
  readonly tid: number;
  readonly name: string;
}

export type TraceEvent = StateChange | ErrorReport | ResetReceived | ResetSent | Destroyed | Exit;

/** Decodes a record that begins at `at`; null: it is not one to look at. */
export type Decoder = (timeNs: number, bytes: Buffer, at: number, texts: AddressTexts) => TraceEvent | null;

/** What the kernel is asked for. */
export interface WantedEvent {
  readonly event: string;
  /** What of it the kernel need not write, in the words of its event filters. */
  readonly filter?: string;
  /** null: this kernel's event lacks something that cannot be done without. */
  readonly decoder: (format: EventFormat) => Decoder | null;
}

export const stateChanges: WantedEvent = {
  event: "sock/inet_sock_set_state",
  // Not what nothing asks for: the end of a listener (its beginning shows who is there), and SYN_RECV, whose ends are not filled in
  // yet.
  filter: "protocol == 6 && oldstate != 10 && newstate != 3",
  decoder: stateDecoder,
};
export const errorReports: WantedEvent = {
  event: "sock/inet_sk_error_report",
  filter: "protocol == 6 && error != 0",
  decoder: errorDecoder,
};
export const resetsReceived: WantedEvent = {
  event: "tcp/tcp_receive_reset",
  decoder: resetReceivedDecoder,
};
export const resetsSent: WantedEvent = {
  event: "tcp/tcp_send_reset",
  // A scan of ports that nobody holds is answered by as many RSTs of no socket.
  filter: "skaddr != 0",
  decoder: resetSentDecoder,
};
export const destructions: WantedEvent = { event: "tcp/tcp_destroy_sock", decoder: destroyedDecoder };
export const exits: WantedEvent = { event: "sched/sched_process_exit", decoder: exitDecoder };

function stateDecoder(format: EventFormat): Decoder | null {
  const from = numberReader(format, "oldstate");
  const to = numberReader(format, "newstate");
  const protocol = numberReader(format, "protocol");
  const ends = endpointReader(format);
  if (from === null || to === null || ends === null) return null;
  return ofSocket(format, (event, bytes, at, texts) => {
    if (protocol !== null && protocol(bytes, at) !== IPPROTO_TCP) return null;
    const newState = to(bytes, at);
    return {
      kind: "state",
      timeNs: event.timeNs,
      tid: event.tid,
      itself: event.itself,
      socket: event.socket,
      from: stateFromNumber(from(bytes, at)),
      to: stateFromNumber(newState),
      ends: newState === TCP_CLOSE ? ends(bytes, at, texts) : null,
    };
  });
}

const IPPROTO_TCP = 6;
const TCP_CLOSE = 7;

function errorDecoder(format: EventFormat): Decoder | null {
  const error = numberReader(format, "error");
  const protocol = numberReader(format, "protocol");
  const ends = endpointReader(format);
  if (error === null || ends === null) return null;
  return (timeNs, bytes, at, texts) => {
    const errno = error(bytes, at);
    if (errno === 0 || (protocol !== null && protocol(bytes, at) !== IPPROTO_TCP)) return null;
    return { kind: "error", timeNs, errno: errnoName(errno), ends: ends(bytes, at, texts) };
  };
}

function resetReceivedDecoder(format: EventFormat): Decoder | null {
  const cookie = numberReader(format, "sock_cookie");
  return ofSocket(format, (event, bytes, at) => ({
    kind: "reset-received",
    ...event,
    cookie: cookie === null ? null : cookie(bytes, at),
  }));
}

function resetSentDecoder(format: EventFormat): Decoder | null {
  const reason = numberReader(format, "reason");
  const names = valueNames(format, "reason");
  return ofSocket(format, (event, bytes, at) => ({
    kind: "reset-sent",
    ...event,
    reason: reason === null ? null : (names.get(reason(bytes, at)) ?? null),
  }));
}

function destroyedDecoder(format: EventFormat): Decoder | null {
  const cookie = numberReader(format, "sock_cookie");
  return ofSocket(format, (event, bytes, at) => ({
    kind: "destroyed",
    ...event,
    cookie: cookie === null ? null : cookie(bytes, at),
  }));
}

function exitDecoder(format: EventFormat): Decoder | null {
  const pid = numberReader(format, "pid");
  const name = format.fields.get("comm");
  if (pid === null || name === undefined) return null;
  return (timeNs, bytes, at) => ({
    kind: "exit",
    timeNs,
    tid: pid(bytes, at),
    name: textUpToZero(bytes, at + name.offset, name.size),
  });
}

function textUpToZero(bytes: Buffer, at: number, size: number): string {
  const end = bytes.indexOf(0, at);
  return bytes.toString("utf8", at, end < 0 || end > at + size ? at + size : end);
}

/** common_flags, enum trace_flag_type in include/linux/trace_events.h. */
const TRACE_FLAG_HARDIRQ = 0x08;
const TRACE_FLAG_SOFTIRQ = 0x10;

/** Decodes what all events about a socket have; an event without a socket (an RST for a port that nobody holds) is passed over. */
function ofSocket(
  format: EventFormat,
  decode: (event: OfSocket, bytes: Buffer, at: number, texts: AddressTexts) => TraceEvent | null,
): Decoder | null {
  const socket: FieldReader | null = numberReader(format, "skaddr");
  const flags = numberReader(format, "common_flags");
  const tid = numberReader(format, "common_pid");
  if (socket === null || flags === null || tid === null) return null;
  return (timeNs, bytes, at, texts) => {
    const address = socket(bytes, at);
    if (address === 0) return null;
    const task = tid(bytes, at);
    const itself = (flags(bytes, at) & (TRACE_FLAG_HARDIRQ | TRACE_FLAG_SOFTIRQ)) === 0 && task !== 0;
    return decode({ timeNs, tid: task, itself, socket: address }, bytes, at, texts);
  };
}
