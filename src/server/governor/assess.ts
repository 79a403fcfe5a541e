/** What a connection is doing when it is looked at. */
export type Phase =
  /** TLS is being agreed on. */
  | "handshake"
  /** A request's head has begun and is not complete. */
  | "head"
  /** A request is being read or answered. */
  | "request"
  /** HTTP between two requests. */
  | "idle"
  /** Anything else: plain TCP, TLS, a WebSocket, a tunnel. */
  | "open";

/** Why a connection is ended by policy while it lasts. */
export type EvictionReason =
  | "first-byte"
  | "handshake"
  | "head"
  | "body"
  | "slow-read"
  | "idle"
  | "age"
  | "total"
  | "per-client"
  | "pressure"
  | "drain";

/** The part of a policy that each connection is held to by the clock. null: no such limit. */
export interface TimeLimits {
  readonly firstByteMs: number | null;
  readonly handshakeMs: number | null;
  readonly headMs: number | null;
  readonly idleMs: number | null;
  readonly body: { readonly bytesPerSecond: number; readonly windowMs: number } | null;
}

/** What one look at a connection shows. */
export interface Sight {
  readonly phase: Phase;
  /** Of a head: since it began. */
  readonly phaseMs: number;
  /** Bytes that have come from the peer. */
  readonly read: number;
  /** Bytes that the peer has taken; where the kernel cannot be asked, that the kernel has taken. */
  readonly taken: number;
  /** How long ago `read` and `taken` last grew, at most; null: the kernel cannot be asked. */
  readonly readAgeMs: number | null;
  readonly takenAgeMs: number | null;
  /** When its last stream began or ended, for which HTTP/2 is the measure: pings show no more than that somebody is there. */
  readonly streamsMs: number | null;
  /** Something that was written is not acknowledged yet. */
  readonly outstanding: boolean;
  /** Bytes that wait on this side because the peer does not take them. */
  readonly waiting: number;
  /** More of a request's body is to come, and this side is willing to read it. */
  readonly uploading: boolean;
  /** It speaks HTTP: a request may begin at any moment. */
  readonly http: boolean;
}

/** What is remembered of a connection from one look to the next. Times are those of the governor's clock, in milliseconds. */
export interface Notes {
  readonly acceptedMs: number;
  /** When its age is over; -1: never. */
  ageAtMs: number;
  /** When bytes last moved in either direction, as far as is known. */
  progressMs: number;
  read: number;
  taken: number;
  /** Since when the rate of a body is measured, and from which figures on; -1: it is not. */
  windowMs: number;
  windowRead: number;
  windowTaken: number;
  windowWaiting: number;
  windowUploading: boolean;
}

/** Notes down what has moved since the last look. */
export function observe(notes: Notes, sight: Sight, nowMs: number): void {
  const readMs = sight.read === notes.read ? 0 : nowMs - (sight.readAgeMs ?? 0);
  const takenMs = sight.taken === notes.taken ? 0 : nowMs - (sight.takenAgeMs ?? 0);
  notes.read = sight.read;
  notes.taken = sight.taken;
  notes.progressMs = Math.max(notes.progressMs, sight.streamsMs ?? Math.max(readMs, takenMs));
}

/**
 * Holds a connection to the limits, by what one look at it has shown. Pure but for the notes.
 *
 * @returns why it is to be ended, or when to look again (Infinity: never).
 */
export function assess(
  limits: TimeLimits,
  notes: Notes,
  sight: Sight,
  nowMs: number,
): EvictionReason | number {
  observe(notes, sight, nowMs);
  const { firstByteMs, handshakeMs, headMs, idleMs } = limits;
  let next = Number.POSITIVE_INFINITY;

  if (firstByteMs !== null && sight.read === 0) {
    const due = notes.acceptedMs + firstByteMs;
    if (nowMs >= due) return "first-byte";
    next = due;
  }
  if (handshakeMs !== null && sight.phase === "handshake") {
    const due = notes.acceptedMs + handshakeMs;
    if (nowMs >= due) return "handshake";
    next = Math.min(next, due);
  }
  if (headMs !== null && sight.phase === "head") {
    if (sight.phaseMs >= headMs) return "head";
    next = Math.min(next, nowMs - sight.phaseMs + headMs);
  }
  const slow = rate(limits, notes, sight, nowMs);
  if (typeof slow === "string") return slow;
  next = Math.min(next, slow);

  if (idleMs !== null) {
    const due = notes.progressMs + idleMs;
    if (sight.phase === "request") next = Math.min(next, nowMs + idleMs);
    else if (nowMs >= due) return "idle";
    else next = Math.min(next, due, nowMs + idleStep(sight, idleMs));
  }
  if (notes.ageAtMs >= 0) {
    if (nowMs >= notes.ageAtMs) return "age";
    next = Math.min(next, notes.ageAtMs);
  }
  // Nobody tells when the next head, or a body, begins. Looking this often, it is seen before its own time is over; and somebody
  // may hand a connection to an HTTP server only after a while.
  const pulseMs = Math.min(headMs ?? Infinity, limits.body?.windowMs ?? Infinity);
  if (sight.http) next = Math.min(next, nowMs + pulseMs);
  else if (nowMs < notes.acceptedMs + pulseMs) next = Math.min(next, notes.acceptedMs + pulseMs);
  return next;
}

/** The lowest rate at which a body may trickle, either way: measured over windows in which nothing but the peer held it up. */
function rate(
  { body }: TimeLimits,
  notes: Notes,
  { phase, uploading, waiting, read, taken }: Sight,
  nowMs: number,
): EvictionReason | number {
  if (body === null) return Number.POSITIVE_INFINITY;
  const held = phase === "request" && (uploading || waiting > 0);
  const elapsedMs = nowMs - notes.windowMs;
  if (held && notes.windowMs >= 0 && elapsedMs < body.windowMs) return notes.windowMs + body.windowMs;
  if (held && notes.windowMs >= 0) {
    const wanted = (body.bytesPerSecond * elapsedMs) / 1_000;
    const slow = taken - notes.windowTaken < Math.min(wanted, notes.windowWaiting);
    if (uploading && notes.windowUploading && read - notes.windowRead < wanted) return "body";
    // No more can be asked of it than to have taken what was there.
    if (waiting > 0 && slow) return "slow-read";
  }
  notes.windowMs = held ? nowMs : -1;
  notes.windowRead = read;
  notes.windowTaken = taken;
  notes.windowWaiting = waiting;
  notes.windowUploading = uploading;
  return phase === "request" ? nowMs + body.windowMs : Number.POSITIVE_INFINITY;
}

/**
 * How long a connection may go unlooked at although its idle limit is further away: where the kernel does not say when bytes last
 * moved, and where it says so only of acknowledgements, which a peer that takes nothing sends as well.
 */
function idleStep({ readAgeMs, outstanding }: Sight, idleMs: number): number {
  return readAgeMs === null || outstanding ? Math.max(250, idleMs / 10) : Number.POSITIVE_INFINITY;
}
