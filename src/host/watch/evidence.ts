import type { TcpState } from "../../kernel/tcp-states.js";
import { detectionTimes, type Regime, retransmissionTimeoutMs } from "../../plan/model.js";
import type { Settings, SystemDefaults } from "../../plan/settings.js";
import type { Evidence, TcpFigures, Timer } from "../../verdict/evidence.js";
import { figuresRegime } from "../../verdict/regime.js";
import type { ListedConnection } from "./connection-table.js";
import type { Closer, Death } from "./death-finder.js";
import { figuresAt, type Sample } from "./sample.js";

/** What else is known of a connection that died, from the kernel's lists or from its socket. */
export interface Background {
  /** When it died, milliseconds since 1970. */
  readonly at: number;
  readonly sample: Sample | null;
  /** null: they could not be read. */
  readonly settings: Settings | null;
  readonly system: SystemDefaults;
  /** A process by name and number, for words. */
  readonly nameOf: (closer: Closer) => string;
  readonly selfPausedMs: number | null;
}

/** What this kernel's events can tell at all. */
export interface Sees {
  /** The error that a program is given (Linux 5.14). */
  readonly errors: boolean;
  /** RSTs that arrive. */
  readonly resetsReceived: boolean;
  /** RSTs that are sent, by which keepalive's timeouts are known. */
  readonly resetsSent: boolean;
}

export interface FoundEvidence {
  readonly evidence: Evidence;
  /** Where something had to be concluded that a newer kernel would have told: the verdict is no more than likely. */
  readonly concluded: boolean;
}

/** Puts what the events said of a death, and what was known of the connection, into the terms of verdicts. Pure. */
export function evidenceOf(death: Death, background: Background, sees: Sees): FoundEvidence {
  const { at, sample, settings, selfPausedMs } = background;
  const { from, atNs, bornNs, closedBy, peerFin, resetReceived } = death;
  const connecting = from === "SYN_SENT" || from === "SYN_RECV";
  const ageMs = bornNs === null ? null : (atNs - bornNs) / 1e6;
  const { errno, concluded, icmp = null } = endedInOrder(death) ? inOrder : errnoOf(death, ageMs, sees);
  // Once the kernel has given a connection up it shows CLOSE, and the figures read differently then.
  const figures =
    sample === null
      ? null
      : figuresAt(sample, atNs / 1e6, errno === null ? from : "CLOSE", from !== "SYN_SENT");
  return {
    concluded,
    evidence: {
      at,
      errno,
      peerFin,
      resetSeen: resetReceived && errno !== null,
      icmp,
      connecting,
      ageMs,
      figures,
      settings,
      selfPausedMs,
      closedBy: errno !== null || icmp !== null ? null : closedBy?.exited === true ? "exit" : "program",
      destroyedBy: errno === "ECONNABORTED" && closedBy !== null ? background.nameOf(closedBy) : null,
      regime: regimeOf(death, errno, figures, sees),
      timer: timerOf(death, errno, ageMs, figures, background, sees),
    },
  };
}

const inOrder: FoundError = { errno: null, concluded: false };

/**
 * Both sides have ended it, or our own has and no program is there any more to be told of an error: how the kernel then gets rid of
 * what is left is nobody's concern.
 */
function endedInOrder({ from, errno }: Death): boolean {
  if (from === "LAST_ACK") return true;
  return errno === null && (from === "FIN_WAIT1" || from === "FIN_WAIT2" || from === "CLOSING");
}

interface FoundError {
  readonly errno: string | null;
  readonly concluded: boolean;
  /** A router's report that must have come. */
  readonly icmp?: string;
}

/** The error that the program is given: as the kernel says or, where it does not, as its other events let it be concluded. */
function errnoOf(death: Death, ageMs: number | null, sees: Sees): FoundError {
  const { errno, resetReceived, closedBy, from, keepaliveTimeout } = death;
  if (errno !== null) return { errno, concluded: false };
  // tcp_reset.
  if (resetReceived) {
    const reset = from === "SYN_SENT" ? "ECONNREFUSED" : from === "CLOSE_WAIT" ? "EPIPE" : "ECONNRESET";
    return { errno: reset, concluded: false };
  }
  if (sees.errors) return inOrder;
  // An RST that arrives while the program has hold of the socket is dealt with by the program itself (__release_sock).
  if (closedBy !== null) return { errno: null, concluded: !sees.resetsReceived };
  if (from === "SYN_SENT" && ageMs !== null && ageMs < firstTickMs)
    return sees.resetsReceived
      ? { errno: null, concluded: true, icmp: "unreachable" }
      : { errno: "ECONNREFUSED", concluded: true };
  // Only timers are left; an ICMP message that came before would be their error.
  return { errno: "ETIMEDOUT", concluded: !keepaliveTimeout };
}

/** No timer ends an attempt to connect before the first answer is overdue: the initial retransmission timeout, RFC 6298 §2.1. */
const firstTickMs = 990;

/** null: the figures tell. Whatever an older look at the socket says: keepalive's timeouts were idle, all others had something to send. */
function regimeOf(
  { from, keepaliveTimeout }: Death,
  errno: string | null,
  figures: TcpFigures | null,
  sees: Sees,
): Regime | null {
  if (errno !== null && !isOfReset(errno, from) && keepaliveTimeout) return "idle";
  const hadToSend = errno === "ETIMEDOUT" && sees.resetsSent;
  if (hadToSend && (figures === null || figuresRegime(figures) !== "zero-window")) return "sending";
  return figures === null ? figuresRegime({ state: from }) : null;
}

/** null: figures and settings tell. Keepalive's timeouts are known by their RST. */
function timerOf(
  { from, keepaliveTimeout }: Death,
  errno: string | null,
  ageMs: number | null,
  figures: TcpFigures | null,
  { settings, system }: Background,
  sees: Sees,
): Timer | null {
  if (errno === null || isOfReset(errno, from)) return null;
  if (keepaliveTimeout) return "keepalive";
  if ((settings?.userTimeoutMs ?? 0) > 0 || !ranOut(errno, from, figures)) return null;
  // It may have been keepalive.
  if (!sees.resetsSent && from !== "SYN_SENT" && (figures === null || figuresRegime(figures) === "idle"))
    return null;
  const early =
    from === "SYN_SENT" ? connectEndedEarly(ageMs, system) : sendingEndedEarly(ageMs, figures, system);
  return early ? "user-timeout" : null;
}

/**
 * A timer ended it: a router's report is kept until one does (tcp_v4_err), but for attempts to connect, and programs that asked to be
 * told at once.
 */
function ranOut(errno: string, from: TcpState, figures: TcpFigures | null): boolean {
  return errno === "ETIMEDOUT" || (from !== "SYN_SENT" && (figures?.retransmits ?? 0) > 0);
}

/** No timer gave this error. On an established connection ECONNREFUSED is a router's report: "port unreachable". */
function isOfReset(errno: string, from: TcpState): boolean {
  return resetErrnos.has(errno) || (errno === "ECONNREFUSED" && from === "SYN_SENT");
}

const resetErrnos: ReadonlySet<string> = new Set(["ECONNRESET", "EPIPE", "ECONNABORTED"]);

/**
 * Where no user timeout is known of, or it was set after somebody looked: what ended before the system's own limit can have been
 * reached, ended by one. It cannot have waited for longer than it lived, nor for longer than the longest wait, as often as it waited.
 */
function sendingEndedEarly(
  ageMs: number | null,
  figures: TcpFigures | null,
  { retries2, rtoMinMs, rtoMaxMs }: SystemDefaults,
): boolean {
  const waits = Math.max(figures?.retransmits ?? 0, figures?.probes ?? 0) + 1;
  const waitedMs = Math.min(
    ageMs ?? Number.POSITIVE_INFINITY,
    figures === null ? Number.POSITIVE_INFINITY : waits * rtoMaxMs,
  );
  return waitedMs < retransmissionTimeoutMs(retries2, rtoMinMs, rtoMaxMs);
}

/** The same for one that was never answered. */
function connectEndedEarly(ageMs: number | null, system: SystemDefaults): boolean {
  const { connectingMs } = detectionTimes({ keepalive: null, userTimeoutMs: 0 }, system);
  return ageMs !== null && connectingMs !== null && ageMs < connectingMs - clockSlackMs;
}

/** The kernel's timers count in ticks, and the model's times are its shortest. */
const clockSlackMs = 500;

/**
 * What can be concluded of a connection that was in the kernel's list and is no more, where its end itself was not seen. Never more
 * than likely.
 *
 * @param waits its ends are in TIME_WAIT now: this side ended it first.
 */
export function vanishedEvidence(
  { state, sample, settings }: Pick<ListedConnection, "state" | "sample" | "settings">,
  told: Sample | null,
  waits: boolean,
  { at, atMs }: { readonly at: number; readonly atMs: number },
): Evidence {
  const known = told ?? sample;
  const unanswered = known === null ? 0 : known.retransmits + known.probes;
  const ownEnd = waits || state === "FIN_WAIT1" || state === "FIN_WAIT2" || state === "CLOSING";
  const peerEnd = !ownEnd && (state === "CLOSE_WAIT" || state === "LAST_ACK");
  // As verdicts read a socket that the kernel has given up.
  const givenUp = !ownEnd && !peerEnd && unanswered > 1;
  return {
    at,
    peerFin: peerEnd,
    connecting: state === "SYN_SENT" || state === "SYN_RECV",
    figures: known === null ? null : figuresAt(known, atMs, givenUp ? "CLOSE" : state, state !== "SYN_SENT"),
    settings: settings?.settings ?? null,
    closedBy: ownEnd ? "program" : null,
  };
}
