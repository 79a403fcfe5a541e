import { formatDuration } from "../plan/duration.js";
import type { Regime } from "../plan/model.js";
import type { Timer } from "./evidence.js";
import { known, type Facts } from "./facts.js";
import type { VerdictState } from "./verdict.js";

/** What a rule concludes; what it leaves out, the facts say. */
export interface Finding {
  readonly state: VerdictState;
  readonly sentence: string;
  readonly timer?: Timer;
  readonly regime?: Regime;
  readonly detectedAfterMs?: number | null;
  /** Empty or absent: the evidence proves the state. */
  readonly couldAlsoBe?: readonly VerdictState[];
}

export interface Rule {
  readonly when: (facts: Facts) => boolean;
  readonly find: (facts: Facts) => Finding;
}

/**
 * What an ICMP message becomes for the program (icmp_err_convert in net/ipv4/icmp.c, icmpv6_err_convert), and what the kernel
 * says when it has no way to send at all.
 */
const unreachableErrnos: Readonly<Record<string, string>> = {
  EHOSTUNREACH:
    "a router, or this host's own look-up of its neighbour, reported that the peer cannot be reached",
  ENETUNREACH:
    "a router, or this host's own routing table, reported that there is no way to the peer's network",
  EHOSTDOWN: "a router reported that the peer's host is unknown",
  ENONET: "a router reported that the peer's host is cut off",
  ENOPROTOOPT: "the peer's host, or a firewall in its name, reported that it does not take TCP",
  ENETDOWN: "this host's own network is down",
};

/** The first rule that applies decides; the order is part of the meaning. */
export const rules: readonly Rule[] = [
  {
    when: (facts) => facts.closedBy === "policy",
    find: ({ policy }) => ({
      state: "evicted",
      sentence: `Our own policy closed the connection${policy === null ? "" : `: ${policy}`}.`,
    }),
  },

  // The kernel's errors, from those that say most to those that say least.
  {
    when: ({ errno, connecting }) => errno === "ECONNREFUSED" && connecting,
    find: ({ resetSeen }) => ({
      state: "reset",
      sentence:
        "The peer's host refused the connection: nothing listens on that port, or a firewall rejects it.",
      // An ICMP "port unreachable" gives the same error as an RST (icmp_err_convert).
      couldAlsoBe: resetSeen ? [] : ["unreachable"],
    }),
  },
  {
    // tcp_reset gives EPIPE instead of ECONNRESET once the peer's FIN is in.
    when: ({ errno, peerFin }) => peerFin && (errno === "ECONNRESET" || errno === "EPIPE"),
    find: (facts) => ({
      state: "reset",
      timer: provokedBy(facts),
      sentence:
        "The peer ended its side in order, then reset the connection rather than take what we still sent.",
      couldAlsoBe: facts.errno === "EPIPE" && !facts.resetSeen ? ["closed"] : [],
    }),
  },
  {
    when: ({ errno, resetSeen }) => errno === "ECONNRESET" || resetSeen,
    find: (facts) => ({
      state: "reset",
      timer: provokedBy(facts),
      sentence: `The peer reset the connection${provocation(facts)}: it restarted, its process is gone, or a middlebox forgot the connection.`,
    }),
  },
  {
    when: ({ errno }) => errno === "EPIPE",
    find: () => ({
      state: "reset",
      sentence: "Writing failed because the connection was already gone, most likely reset by the peer.",
      couldAlsoBe: ["closed", "local"],
    }),
  },
  {
    when: ({ errno }) => errno !== null && Object.hasOwn(unreachableErrnos, errno),
    find: (facts) => unreachable(facts, unreachableErrnos[facts.errno ?? ""] ?? ""),
  },
  {
    // On an established connection no RST gives ECONNREFUSED; an ICMP "port unreachable" does.
    when: ({ errno }) => errno === "ECONNREFUSED",
    find: (facts) =>
      unreachable(facts, "a firewall or the peer's host rejected our packets with an ICMP message"),
  },
  {
    when: ({ errno }) => errno === "EACCES",
    find: (facts) => ({
      ...unreachable(facts, "a firewall forbids the way to the peer (administratively prohibited)"),
      couldAlsoBe: ["local"],
    }),
  },
  {
    when: ({ errno }) => errno === "ECONNABORTED",
    find: () => ({
      state: "local",
      sentence: "Somebody on this host ended the connection in the kernel (SOCK_DESTROY, as `ss -K` does).",
      couldAlsoBe: ["evicted"],
    }),
  },
  {
    when: ({ errno, icmp }) => errno === "ETIMEDOUT" && icmp !== null,
    find: (facts) => ({
      ...unreachable(facts, `a router reported: ${facts.icmp}`),
      couldAlsoBe: ["silent"],
    }),
  },
  { when: ({ errno }) => errno === "ETIMEDOUT", find: timedOut },
  {
    when: ({ errno }) => errno !== null,
    find: ({ errno, connecting }) => ({
      state: "local",
      sentence: connecting
        ? `No connection was made: this host failed with ${errno} before the peer was asked.`
        : `This host's side ended the connection with ${errno}, an error that no peer causes.`,
      couldAlsoBe: connecting ? ["unreachable"] : ["closed", "reset", "silent"],
    }),
  },

  // No error: what else was seen.
  { when: ({ heartbeat }) => heartbeat !== null, find: heartbeatsMissed },
  {
    when: ({ peerFin }) => peerFin,
    find: () => ({ state: "closed", sentence: "The peer ended the connection in order." }),
  },
  {
    // The kernel had given the connection up, but the error went to somebody else, e.g. to a TLS socket on top.
    when: ({ kernelState, closedBy, retransmits, probes }) =>
      kernelState === "CLOSE" && closedBy === null && retransmits + probes > 1,
    find: (facts) => ({ ...timedOut(facts), couldAlsoBe: ["reset", "unreachable"] }),
  },
  {
    when: ({ kernelState, closedBy }) => kernelState === "CLOSE" && closedBy === null,
    find: (facts) => ({
      state: "reset",
      timer: provokedBy(facts),
      sentence:
        "The kernel had already given the connection up when the program closed it, most likely because the peer reset it.",
      couldAlsoBe: ["silent", "unreachable"],
    }),
  },
  {
    when: ({ icmp }) => icmp !== null,
    find: (facts) => ({
      ...unreachable(facts, `a router reported: ${facts.icmp}`),
      couldAlsoBe: ["silent", "local"],
    }),
  },
  {
    when: ({ closedBy }) => closedBy === "program",
    find: ({ programError, connecting }) => ({
      state: "local",
      sentence: `Our own program ${connecting ? "gave up the attempt to connect" : "closed the connection"}${programError === null ? "" : ` because of ${programError}`}.`,
    }),
  },
  {
    when: () => true,
    find: () => ({
      state: "local",
      sentence: "The connection ended, and nothing is known that would put it down to the peer.",
      couldAlsoBe: ["closed", "reset", "silent"],
    }),
  },
];

function unreachable(facts: Facts, report: string): Finding {
  return {
    state: "unreachable",
    // Kept as a soft error, the report becomes the reason only when a timer ends the connection.
    timer: facts.retransmits > 0 && !facts.connecting ? sendingTimer(facts) : "none",
    sentence: `The peer cannot be reached: ${report}; nothing else was heard from it${facts.words.forUnheard}.`,
  };
}

/** ETIMEDOUT: some timer of the kernel ran out, and the figures tell which. */
function timedOut(facts: Facts): Finding {
  switch (facts.regime) {
    case "connecting":
      return {
        state: "silent",
        timer: sendingTimer(facts),
        sentence: `Nothing answered the attempt to connect${facts.words.forUnheard}; ${limit(facts)} ended it.`,
      };
    case "sending":
    case "closing":
      return {
        state: "silent",
        timer: sendingTimer(facts),
        sentence: `The peer acknowledged nothing${facts.words.forUnheard}${sentAgain(facts)}; ${limit(facts)} ended the connection.`,
      };
    case "zero-window":
      return zeroWindow(facts);
    default:
      return idleDeath(facts);
  }
}

function idleDeath(facts: Facts): Finding {
  const deadline = facts.userTimeoutMs > 0 ? `; ${facts.words.userTimeout} set the deadline` : "";
  const evidenced = facts.probes > 0 || facts.givenTimer === "keepalive";
  return {
    state: "silent",
    timer: evidenced ? "keepalive" : "none",
    sentence: evidenced
      ? `The peer answered nothing${facts.words.forUnheard}: ${count(facts.probes, "keepalive probe")} on the idle connection went unanswered${deadline}.`
      : `The peer answered nothing${facts.words.forUnheard}; which timer noticed is not known.`,
    ...(evidenced ? {} : { couldAlsoBe: ["unresponsive"] as const }),
  };
}

/** Each answered window probe sets the number of unanswered ones back to 0 (tcp_ack), so 0 at the end is a living peer. */
function zeroWindow(facts: Facts): Finding {
  const timer = facts.userTimeoutMs > 0 ? "user-timeout" : "zero-window";
  if (facts.probes > 0)
    return {
      state: "silent",
      timer,
      sentence: `The peer's window was full, and nothing answered${facts.words.forUnheard}: ${count(facts.probes, "window probe")} went unanswered; ${limit(facts)} ended the connection.`,
      // One lost probe is no proof: the peer may have been answering until a moment ago.
      couldAlsoBe: facts.probes > 1 ? [] : ["unresponsive"],
    };
  return {
    state: "unresponsive",
    timer,
    detectedAfterMs: facts.lastDataSentMs,
    sentence: `The peer's host answered, but its program took no data${facts.lastDataSentMs === null ? "" : ` for ${formatDuration(facts.lastDataSentMs)}`}: its window stayed at zero until ${limit(facts)} ended the connection.`,
    couldAlsoBe: facts.kernelState === null ? ["silent"] : [],
  };
}

function heartbeatsMissed(facts: Facts): Finding {
  const missed = count(known(facts.heartbeat?.missed) ?? 0, "heartbeat");
  const { lastAnswerMs, lastHeardMs } = facts;
  // The kernel heard from the peer after its program last answered, if it ever did: only the program is stuck.
  const kernelAnswers = lastHeardMs !== null && lastHeardMs < (lastAnswerMs ?? facts.ageMs ?? 0);
  const silent = facts.retransmits > 0 || facts.probes > 0;
  const detectedAfterMs = silent ? (lastHeardMs ?? lastAnswerMs) : lastAnswerMs;
  const since = detectedAfterMs === null ? "" : ` for ${formatDuration(detectedAfterMs)}`;
  if (silent)
    return {
      state: "silent",
      timer: "heartbeat",
      detectedAfterMs,
      sentence: `The peer answered nothing${since}: ${missed} went unanswered, and its host did not acknowledge what was sent.`,
      couldAlsoBe: ["unresponsive"],
    };
  return {
    state: "unresponsive",
    timer: "heartbeat",
    detectedAfterMs,
    sentence: `The peer's program did not answer${since}: ${missed} went unanswered${kernelAnswers ? ", though its host acknowledged them" : ""}.`,
    couldAlsoBe: kernelAnswers ? [] : ["silent"],
  };
}

function sendingTimer({ userTimeoutMs }: Facts): Timer {
  return userTimeoutMs > 0 ? "user-timeout" : "retransmit";
}

function limit({ userTimeoutMs, words }: Facts): string {
  return userTimeoutMs > 0 ? words.userTimeout : "the system's limit of retransmissions";
}

/** What made a dead peer's host, or a middlebox, speak: an RST is only ever an answer. */
function provokedBy({ regime, probes, retransmits }: Facts): Timer {
  if (retransmits > 0) return "retransmit";
  if (probes > 0) return regime === "zero-window" ? "zero-window" : "keepalive";
  return "none";
}

function provocation(facts: Facts): string {
  switch (provokedBy(facts)) {
    case "retransmit":
      return " when data was sent again";
    case "keepalive":
      return " in answer to a keepalive probe";
    case "zero-window":
      return " in answer to a window probe";
    default:
      return "";
  }
}

function sentAgain({ retransmits }: Facts): string {
  if (retransmits === 0) return "";
  return `, though data was sent again ${retransmits === 1 ? "once" : `${retransmits} times`}`;
}

/** `3 probes`, `1 probe`, or just `probes` where the number is not known. */
function count(number: number, thing: string): string {
  if (number === 0) return `${thing}s`;
  return number === 1 ? `1 ${thing}` : `${number} ${thing}s`;
}
