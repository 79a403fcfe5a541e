/**
 * Why a session leaves the lot: `arrived`, something other than bare beats; `ended`, the peer's end or an error; `due`, it was silent
 * for long; `full`, its answer was not taken at once; `recalled`, it was asked for; `refused`, it could not be watched.
 */
export type Why = "arrived" | "ended" | "due" | "full" | "recalled" | "refused";

/** What the attendant says of a slot, which is its owner's again. */
export interface Handback {
  readonly slot: number;
  readonly generation: number;
  readonly why: Why;
  /** Read, and answered by nobody. */
  readonly bytes: Uint8Array | null;
  /** The end of an answer that went out in part, or of one that did not. */
  readonly unsent: Uint8Array | null;
  /** Of a read or write that failed. The kernel tells an error once. */
  readonly errno: number;
  readonly syscall: "read" | "write" | null;
}

/**
 * Why an accepted connection is the owner's to deal with: something has come over it, or its end; nothing has for too long; there are
 * too many that have said nothing; no descriptor was left, and it has been closed.
 */
export const arrivalKinds = ["heard", "overdue", "excess", "full"] as const;
export type ArrivalKind = (typeof arrivalKinds)[number];

/** An accepted connection in one number, as threads hand it over: a turn's arrivals are one message. */
export function arrival(slot: number, kind: ArrivalKind): number {
  return slot * arrivalKinds.length + arrivalKinds.indexOf(kind);
}

export function readArrival(number: number): { slot: number; kind: ArrivalKind } {
  const kind = arrivalKinds[number % arrivalKinds.length] as ArrivalKind;
  return { slot: Math.floor(number / arrivalKinds.length), kind };
}

/** What the attendant says: it is there; somebody leaves; these have arrived. */
export type Said = "ready" | Handback | readonly number[];

/** What the attendant is started with. */
export interface AttendantData {
  readonly memory: SharedArrayBuffer;
  readonly capacity: number;
  readonly epoll: number;
  readonly bell: number;
  readonly beatEveryMs: number;
  readonly handshakeMs: number;
  readonly mostGreeting: number;
  /** The owner's monotonic time when the process's own (hrtime) was 0. */
  readonly zeroMs: number;
}
