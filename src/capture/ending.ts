import type { Evidence, TcpFigures } from "../verdict/evidence.js";
import { judge, type Verdict } from "../verdict/verdict.js";
import { type BetterSettings, betterThan } from "./better.js";
import type { Side } from "./events.js";
import type { Flow } from "./flow.js";
import type { Half } from "./half.js";
import { describeUnreachable } from "./icmp.js";
import type { Silence } from "./silence.js";
import { gaveUpNs, hasGivenUp, silenceRegime, silenceTimer, wearsOn } from "./waiting.js";

/** From when to when a capture goes. */
export interface CaptureSpan {
  /** The first frame, milliseconds since 1970. */
  readonly firstMs: number;
  /** The last, since the first. */
  readonly lastNs: number;
}

/** What shows that a verdict is true. */
export interface EndingProof {
  /** The last sign of life first, then what went unanswered, then what ended the connection. */
  readonly frames: readonly number[];
}

/** Why a connection ended, as the capture shows it, seen from the side that noticed. */
export interface CaptureVerdict extends Verdict {
  /** The side that noticed: the other one is what the verdict is about. Text and diagrams of `explain` rely on it. */
  readonly by: Side;
  /** Whether it had given the connection up; false: it was still trying, as far as the capture shows. */
  readonly givenUp: boolean;
  readonly proof: EndingProof;
  /** null: nothing would have been noticed sooner. */
  readonly better: BetterSettings | null;
}

/** What a capture can show of all that evidence may be. */
type CapturedEvidence = Pick<
  Evidence,
  "errno" | "peerFin" | "resetSeen" | "icmp" | "connecting" | "ageMs" | "regime" | "timer" | "figures"
>;

/** An ending before it is judged: who saw it, what it saw, by which frames. */
interface Ending {
  readonly by: Side;
  readonly atNs: number;
  /** When the other side gave its last sign of life; null: never. */
  readonly heardNs: number | null;
  readonly evidence: CapturedEvidence;
  readonly frames: readonly number[];
  readonly givenUp: boolean;
  /** The evidence proves less than it would at a socket. */
  readonly likely?: boolean;
}

/** How a flow ended, with the verdict; null: it did not, as far as the capture shows. */
export function findEnding(flow: Flow, span: CaptureSpan): CaptureVerdict | null {
  const ending = endingOf(flow, span);
  return ending === null ? null : verdictOn(ending, span);
}

/** The first FIN or RST decides; without one, what a side repeats without an answer. */
function endingOf(flow: Flow, span: CaptureSpan): Ending | null {
  const reset = firstOf(flow, "rstFrame");
  const finished = firstOf(flow, "finFrame");
  if (reset !== null && (finished === null || flow[reset].rstFrame < flow[finished].finFrame))
    return resetBy(flow, reset);
  if (finished !== null) return finishedBy(flow, finished, span);
  return unanswered(flow, "a", span) ?? unanswered(flow, "b", span);
}

function firstOf(flow: Flow, which: "rstFrame" | "finFrame"): Side | null {
  const a = flow.a[which];
  const b = flow.b[which];
  if (a === 0 && b === 0) return null;
  return b === 0 || (a !== 0 && a < b) ? "a" : "b";
}

const otherSide = (side: Side): Side => (side === "a" ? "b" : "a");

function resetBy(flow: Flow, side: Side): Ending {
  const { rstFrame, rstNs, silence } = flow[side];
  const broken = flow[side].brokenBy(flow[otherSide(side)]);
  // A keepalive death sends an RST (tcp_keepalive_timer); so does a program that ends an attempt in vain.
  if (silence !== null) return diedOf(flow, side, silence, rstNs, [rstFrame]);
  // It had given up without a word, and the other side spoke again: there is no socket any more.
  if (broken !== null && broken.repetitions > 1 && rstNs > gaveUpNs(flow[side], broken))
    return diedOf(flow, side, broken, gaveUpNs(flow[side], broken), [rstFrame]);
  return resetSeenBy(flow, otherSide(side), flow[side]);
}

function resetSeenBy(flow: Flow, by: Side, { finFrame, rstFrame, rstNs, lastFrame, lastNs }: Half): Ending {
  const { silence, synFrame, synNs } = flow[by];
  const connecting = synFrame > 0 && lastFrame === 0 && !flow.established;
  return {
    by,
    atNs: rstNs,
    heardNs: lastFrame === 0 ? null : lastNs,
    evidence: {
      errno: connecting ? "ECONNREFUSED" : "ECONNRESET",
      resetSeen: true,
      peerFin: finFrame > 0 && finFrame < rstFrame,
      connecting,
      ageMs: connecting ? (rstNs - synNs) / 1e6 : null,
      regime: silence === null ? null : silenceRegime(flow, silence),
      figures: figuresOf(silence),
    },
    frames: [...framesOf(lastFrame, silence), rstFrame],
    givenUp: true,
  };
}

function finishedBy(flow: Flow, side: Side, span: CaptureSpan): Ending | null {
  const closer = flow[side];
  const by = otherSide(side);
  const answered = flow[by].lastFrame > closer.finFrame || flow[by].rstFrame > 0;
  const halfClosed = answered && flow[by].finFrame === 0;
  const waits = halfClosed && flow[by].rstFrame === 0;
  // Half-closed it goes on waiting for the other side, and its keepalive with it (tcp_keepalive_timer in FIN_WAIT2).
  if (waits && closer.silence !== null && closer.rstFrame > 0) return resetBy(flow, side);
  if ((waits || !answered) && closer.silence !== null) return unanswered(flow, side, span);
  const stayed = halfClosed && flow[by].silence !== null ? endingOfOpenHalf(flow, by, span) : null;
  if (stayed !== null) return stayed;
  return {
    by,
    atNs: closer.finNs,
    heardNs: closer.finNs,
    evidence: { peerFin: true },
    frames: [closer.finFrame],
    givenUp: true,
  };
}

/** The side that kept its own half open has asked, and had no answer or was refused. */
function endingOfOpenHalf(flow: Flow, side: Side, span: CaptureSpan): Ending | null {
  const reset = firstOf(flow, "rstFrame");
  if (reset === null) return unanswered(flow, side, span);
  return reset === side ? resetBy(flow, side) : resetSeenBy(flow, side, flow[reset]);
}

/** No FIN and no RST: what one side waited for in vain, if it did. */
function unanswered(flow: Flow, side: Side, span: CaptureSpan): Ending | null {
  const half = flow[side];
  const unreachable = unreachableFor(flow, side, span);
  if (unreachable !== null) return unreachable;
  const { silence } = half;
  if (silence === null) return starved(flow, side, span);
  const atNs = Math.min(gaveUpNs(half, silence), span.lastNs);
  const givenUp = hasGivenUp(half, silence, span.lastNs);
  if (!givenUp && !wearsOn(silence)) return null;
  return { ...diedOf(flow, side, silence, atNs, []), givenUp, likely: true };
}

/** Nothing came back: the other side is silent, or with a closed window its host may have stopped answering. */
function diedOf(flow: Flow, by: Side, silence: Silence, atNs: number, last: readonly number[]): Ending {
  const { synNs } = flow[by];
  const regime = silenceRegime(flow, silence);
  return {
    by,
    atNs,
    heardNs: silence.heardFrame === 0 ? null : silence.heardNs,
    evidence: {
      errno: "ETIMEDOUT",
      connecting: regime === "connecting",
      ageMs: regime === "connecting" ? (atNs - synNs) / 1e6 : null,
      regime,
      timer: silenceTimer(silence),
      figures: figuresOf(silence),
    },
    frames: [...framesOf(silence.heardFrame, silence), ...last],
    givenUp: true,
  };
}

/** An ICMP error behind which the other side never spoke again. Keepalive ignores it, see tcp_v4_err. */
function unreachableFor(flow: Flow, side: Side, span: CaptureSpan): Ending | null {
  const { icmp } = flow;
  const half = flow[side];
  const peer = flow[otherSide(side)];
  if (icmp === null || icmp.quotedB !== (side === "b") || peer.lastFrame > icmp.frame) return null;
  const { silence, synFrame, synNs } = half;
  const { words, errno } = describeUnreachable(icmp.code);
  const connecting = !flow.established && synFrame > 0;
  if (!connecting && (silence === null || silence.retransmits === 0)) return null;
  const atNs = connecting || silence === null ? icmp.timeNs : Math.min(gaveUpNs(half, silence), span.lastNs);
  return {
    by: side,
    atNs,
    heardNs: peer.lastFrame === 0 ? null : peer.lastNs,
    evidence: {
      errno,
      icmp: words,
      connecting,
      ageMs: connecting ? (atNs - synNs) / 1e6 : null,
      regime: connecting ? "connecting" : "sending",
      figures: figuresOf(silence),
    },
    frames: [...framesOf(peer.lastFrame, silence), icmp.frame].sort((one, other) => one - other),
    givenUp: connecting || (silence !== null && hasGivenUp(half, silence, span.lastNs)),
    likely: !connecting,
  };
}

/** Window probes that its host answers keep no one alive: the program behind it takes nothing. */
function starved(flow: Flow, side: Side, span: CaptureSpan): Ending | null {
  const { windowProbes, windowProbeFrame } = flow[side];
  const peer = flow[otherSide(side)];
  if (windowProbes < fewProbes || Number.isNaN(peer.zeroSinceNs)) return null;
  return {
    by: side,
    atNs: span.lastNs,
    heardNs: peer.lastNs,
    evidence: {
      errno: "ETIMEDOUT",
      regime: "zero-window",
      timer: "zero-window",
      figures: { probes: 0, lastDataSentMs: (span.lastNs - peer.zeroSinceNs) / 1e6 },
    },
    frames: [windowProbeFrame, peer.lastFrame].sort((one, other) => one - other),
    givenUp: false,
    likely: true,
  };
}

/** A reader that only pauses lets fewer probes come. */
const fewProbes = 3;

function figuresOf(silence: Silence | null): TcpFigures | null {
  if (silence === null) return null;
  return { retransmits: silence.retransmits, probes: silence.probes + silence.windowProbes };
}

function framesOf(heardFrame: number, silence: Silence | null): number[] {
  const heard = heardFrame === 0 ? [] : [heardFrame];
  return silence === null ? heard : [...heard, ...silence.frames];
}

function verdictOn(ending: Ending, span: CaptureSpan): CaptureVerdict {
  const { by, atNs, heardNs, frames, givenUp, evidence } = ending;
  // Here and below field by field: spreading takes V8 microseconds, reading what came of it some more, for each of a million endings.
  const verdict = judge({
    at: span.firstMs + atNs / 1e6,
    lastHeardMs: heardNs === null ? null : Math.max(0, atNs - heardNs) / 1e6,
    errno: evidence.errno ?? null,
    peerFin: evidence.peerFin ?? false,
    resetSeen: evidence.resetSeen ?? false,
    icmp: evidence.icmp ?? null,
    connecting: evidence.connecting ?? false,
    ageMs: evidence.ageMs ?? null,
    regime: evidence.regime ?? null,
    timer: evidence.timer ?? null,
    figures: evidence.figures ?? null,
  });
  return {
    state: verdict.state,
    at: verdict.at,
    lastHeardMs: verdict.lastHeardMs,
    detectedAfterMs: verdict.detectedAfterMs,
    regime: verdict.regime,
    timer: verdict.timer,
    errno: verdict.errno,
    figures: verdict.figures,
    certainty: ending.likely === true ? "likely" : verdict.certainty,
    couldAlsoBe: verdict.couldAlsoBe,
    selfPausedMs: verdict.selfPausedMs,
    sentence: givenUp ? verdict.sentence : stillTrying(verdict),
    by,
    givenUp,
    proof: { frames },
    better: betterThan(verdict),
  };
}

/** The rules' sentences are about connections that ended: what comes behind the semicolon is how. */
function stillTrying({ sentence }: Verdict): string {
  const [happened = sentence] = sentence.split(/; [^;]* ended (?:the connection|it)\.$/);
  return `${happened.replace(/\.$/, "")}. When it was given up the capture does not show.`;
}
