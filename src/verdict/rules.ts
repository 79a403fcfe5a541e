import type { Timer } from "./evidence.js";
import type { Facts } from "./facts.js";
import type { Finding } from "./finding.js";
import { heartbeatsMissed, sendingTimer, timedOut } from "./silence.js";

export interface Rule {
  readonly when: (facts: Facts) => boolean;
  readonly find: (facts: Facts) => Finding;
}

/**
 * What an ICMP message becomes for the program (icmp_err_convert in net/ipv4/icmp.c, icmpv6_err_convert), and what the kernel
 * says when it has no way to send at all.
 */
const unreachableErrnos: Readonly<Record<string, string>> = {
  EHOSTUNREACH: "a router, or this host's own look-up of its neighbour, found no way to the peer's host",
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
      sentence: `The peer ended its side in order, then reset the connection rather than ${provokedBy(facts) === "keepalive" ? "answer a keepalive probe" : "take what we still sent"}.`,
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
    find: ({ destroyedBy }) => ({
      state: "local",
      sentence: `${destroyedBy ?? "Somebody on this host"} ended the connection in the kernel (SOCK_DESTROY, as \`ss -K\` does).`,
      couldAlsoBe: destroyedBy === null ? ["evicted"] : [],
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
    when: ({ closedBy }) => closedBy === "exit",
    find: ({ connecting }) => ({
      state: "local",
      sentence: `Our own program ended, and its kernel ${connecting ? "gave up the attempt to connect" : "closed the connection"}.`,
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
