import type { Settings } from "../../plan/settings.js";
import type { Evidence, TcpFigures } from "../../verdict/evidence.js";
import { figuresRegime } from "../../verdict/regime.js";
import type { ListedConnection } from "./connection-table.js";
import type { Closer, Death } from "./death-finder.js";
import { figuresAt, type Sample } from "./sample.js";

/** What else is known of a connection that died, from the kernel's lists or from its socket. */
export interface Background {
  readonly sample: Sample | null;
  /** null: they could not be read. */
  readonly settings: Settings | null;
  /** A process by name and number, for words. */
  readonly nameOf: (closer: Closer) => string;
  readonly selfPausedMs: number | null;
}

/** What this kernel's events can tell at all. */
export interface Sees {
  /** The error that a program is given (Linux 5.14). */
  readonly errors: boolean;
}

export interface FoundEvidence {
  readonly evidence: Omit<Evidence, "at">;
  /** Where something had to be concluded that a newer kernel would have told: the verdict is no more than likely. */
  readonly concluded: boolean;
}

/** Puts what the events said of a death, and what was known of the connection, into the terms of verdicts. Pure. */
export function evidenceOf(death: Death, background: Background, sees: Sees): FoundEvidence {
  const { sample, settings, selfPausedMs } = background;
  const atMs = death.atNs / 1e6;
  const connecting = death.from === "SYN_SENT" || death.from === "SYN_RECV";
  const { errno, concluded } = connecting || !endedInOrder(death) ? errnoOf(death, sees) : inOrder;
  // Once the kernel has given a connection up it shows CLOSE, and the figures read differently then.
  const figures = sample === null ? null : figuresAt(sample, atMs, errno === null ? death.from : "CLOSE");
  return {
    concluded,
    evidence: {
      errno,
      peerFin: death.peerFin,
      resetSeen: death.resetReceived && errno !== null,
      connecting,
      ageMs: death.bornNs === null ? null : (death.atNs - death.bornNs) / 1e6,
      figures,
      settings,
      selfPausedMs,
      ...closing(death, errno, background),
      ...timer(death, errno, figures),
    },
  };
}

const inOrder = { errno: null, concluded: false } as const;

/**
 * Both sides have ended it, or our own has and no program is there any more to be told of an error: how the kernel then gets rid of
 * what is left is nobody's concern.
 */
function endedInOrder({ from, errno }: Death): boolean {
  if (from === "LAST_ACK") return true;
  return errno === null && (from === "FIN_WAIT1" || from === "FIN_WAIT2" || from === "CLOSING");
}

/** The error that the program is given: as the kernel says or, where it does not, as its other events let it be concluded. */
function errnoOf(death: Death, sees: Sees): { readonly errno: string | null; readonly concluded: boolean } {
  const { errno, resetReceived, closedBy, from, keepaliveTimeout } = death;
  if (errno !== null) return { errno, concluded: false };
  // tcp_reset.
  if (resetReceived) {
    const reset = from === "SYN_SENT" ? "ECONNREFUSED" : from === "CLOSE_WAIT" ? "EPIPE" : "ECONNRESET";
    return { errno: reset, concluded: false };
  }
  if (sees.errors || closedBy !== null) return inOrder;
  // Only timers are left; an ICMP message that came before would be their error.
  return { errno: "ETIMEDOUT", concluded: !keepaliveTimeout };
}

function closing(
  { closedBy }: Death,
  errno: string | null,
  { nameOf }: Background,
): Pick<Evidence, "closedBy" | "policy"> {
  if (errno === "ECONNABORTED" && closedBy !== null)
    return { closedBy: "policy", policy: `${nameOf(closedBy)} ended it in the kernel (SOCK_DESTROY)` };
  if (errno !== null) return {};
  return { closedBy: closedBy?.exited === true ? "exit" : "program" };
}

/** Keepalive's deaths are known by their RST. All other timeouts had something to send, whatever an older look at the socket says. */
function timer(
  { keepaliveTimeout }: Death,
  errno: string | null,
  figures: TcpFigures | null,
): Pick<Evidence, "timer" | "regime"> {
  if (errno === null || errno === "ECONNRESET" || errno === "ECONNABORTED") return {};
  if (keepaliveTimeout) return { regime: "idle", timer: "keepalive" };
  if (errno !== "ETIMEDOUT") return {};
  return figures !== null && figuresRegime(figures) === "zero-window" ? {} : { regime: "sending" };
}

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
  atMs: number,
): Omit<Evidence, "at"> {
  const known = told ?? sample;
  const unanswered = known === null ? 0 : known.retransmits + known.probes;
  const ownEnd = waits || state === "FIN_WAIT1" || state === "FIN_WAIT2" || state === "CLOSING";
  const peerEnd = !ownEnd && (state === "CLOSE_WAIT" || state === "LAST_ACK");
  // As verdicts read a socket that the kernel has given up.
  const givenUp = !ownEnd && !peerEnd && unanswered > 1;
  return {
    peerFin: peerEnd,
    connecting: state === "SYN_SENT" || state === "SYN_RECV",
    figures: known === null ? null : figuresAt(known, atMs, givenUp ? "CLOSE" : state),
    settings: settings?.settings ?? null,
    ...(ownEnd ? { closedBy: "program" as const } : {}),
  };
}
