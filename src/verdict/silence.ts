import { formatDuration } from "../plan/duration.js";
import type { Timer } from "./evidence.js";
import { known, type Facts } from "./facts.js";
import type { Finding } from "./finding.js";

/** ETIMEDOUT: some timer of the kernel ran out, and the figures tell which. */
export function timedOut(facts: Facts): Finding {
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
        sentence: `Data stayed unacknowledged${sentAgain(facts)}, and nothing was heard from the peer${facts.words.forUnheard}; ${limit(facts)} ended the connection.`,
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
  const timer = sendingTimer(facts) === "user-timeout" ? "user-timeout" : "zero-window";
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

/** The program ended the connection because its own heartbeats were not answered. */
export function heartbeatsMissed(facts: Facts): Finding {
  const missed = count(known(facts.heartbeat?.missed) ?? 0, "heartbeat");
  const { lastAnswerMs, lastHeardMs } = facts;
  // The kernel heard from the peer after its program last answered, if it ever did: only the program is stuck.
  const kernelAnswers = lastHeardMs !== null && lastHeardMs < (lastAnswerMs ?? facts.ageMs ?? 0);
  // A window probe is answered once in half a second (tcp_invalid_ratelimit): one that was not, since then, proves nothing.
  const unansweredProbes = kernelAnswers ? facts.probes - 1 : facts.probes;
  const silent = facts.retransmits > 0 || unansweredProbes > 0;
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
  const host = facts.regime === "zero-window" ? "answered, with a window of zero" : "acknowledged them";
  return {
    state: "unresponsive",
    timer: "heartbeat",
    detectedAfterMs,
    sentence: `The peer's program did not answer${since}: ${missed} went unanswered${kernelAnswers ? `, though its host ${host}` : ""}.`,
    couldAlsoBe: kernelAnswers && facts.probes === 0 ? [] : ["silent"],
  };
}

/** Which timer ends a connection with data in flight, or an attempt to connect. */
export function sendingTimer({ userTimeoutMs, givenTimer }: Facts): Timer {
  return userTimeoutMs > 0 || givenTimer === "user-timeout" ? "user-timeout" : "retransmit";
}

function limit({ userTimeoutMs, givenTimer, words }: Facts): string {
  if (userTimeoutMs > 0) return words.userTimeout;
  return givenTimer === "user-timeout" ? "a user timeout" : "the system's limit of retransmissions";
}

function sentAgain({ retransmits }: Facts): string {
  if (retransmits === 0) return "";
  return `, though it was sent again ${retransmits === 1 ? "once" : `${retransmits} times`}`;
}

/** `3 probes`, `1 probe`, or just `probes` where the number is not known. */
function count(number: number, thing: string): string {
  if (number === 0) return `${thing}s`;
  return number === 1 ? `1 ${thing}` : `${number} ${thing}s`;
}
