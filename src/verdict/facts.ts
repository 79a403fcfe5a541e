import { formatDuration } from "../plan/duration.js";
import type { Regime } from "../plan/model.js";
import type { Evidence, HeartbeatEvidence, TcpFigures, Timer } from "./evidence.js";
import { figuresRegime } from "./regime.js";

/** Evidence put in order for the rules: nothing optional, nothing that is no number, every duration also in words. */
export interface Facts {
  readonly at: number;
  readonly errno: string | null;
  readonly peerFin: boolean;
  readonly resetSeen: boolean;
  readonly icmp: string | null;
  readonly closedBy: "program" | "exit" | "policy" | null;
  readonly policy: string | null;
  readonly destroyedBy: string | null;
  readonly programError: string | null;
  readonly connecting: boolean;
  readonly ageMs: number | null;
  readonly figures: TcpFigures | null;
  readonly kernelState: string | null;
  readonly retransmits: number;
  readonly probes: number;
  readonly lastDataSentMs: number | null;
  readonly userTimeoutMs: number;
  readonly heartbeat: HeartbeatEvidence | null;
  readonly lastAnswerMs: number | null;
  readonly regime: Regime;
  readonly givenTimer: Timer | null;
  readonly lastHeardMs: number | null;
  /** Since the peer was last heard; for a connect, since it began. */
  readonly unheardMs: number | null;
  readonly selfPausedMs: number | null;
  readonly words: Words;
}

/** Durations in words, made when a sentence asks for them: most verdicts on a capture's connections name none. */
class Words {
  readonly #unheardMs: number | null;
  readonly #userTimeoutMs: number;
  readonly #selfPausedMs: number | null;

  constructor(unheardMs: number | null, userTimeoutMs: number, selfPausedMs: number | null) {
    this.#unheardMs = unheardMs;
    this.#userTimeoutMs = userTimeoutMs;
    this.#selfPausedMs = selfPausedMs;
  }

  /** ` for 4.1s`, or empty where it is not known for how long. */
  get forUnheard(): string {
    return this.#unheardMs === null ? "" : ` for ${formatDuration(this.#unheardMs)}`;
  }

  get userTimeout(): string {
    return `the user timeout of ${formatDuration(this.#userTimeoutMs)}`;
  }

  get selfPaused(): string {
    return formatDuration(this.#selfPausedMs ?? 0);
  }
}

export function factsFrom(evidence: Evidence): Facts {
  const figures = evidence.figures ?? null;
  const kernelState = figures?.state ?? null;
  const connecting = evidence.connecting ?? (kernelState === "SYN_SENT" || kernelState === "SYN_RECV");
  const lastHeardMs = connecting ? null : (known(evidence.lastHeardMs) ?? heardMs(figures));
  const unheardMs = connecting ? known(evidence.ageMs) : lastHeardMs;
  const userTimeoutMs = known(evidence.settings?.userTimeoutMs) ?? 0;
  const selfPausedMs = known(evidence.selfPausedMs) || null;
  return {
    at: evidence.at,
    errno: evidence.errno ?? null,
    peerFin: evidence.peerFin ?? false,
    resetSeen: evidence.resetSeen ?? false,
    icmp: evidence.icmp ?? null,
    closedBy: evidence.closedBy ?? null,
    policy: evidence.policy ?? null,
    destroyedBy: evidence.destroyedBy ?? null,
    programError: evidence.programError ?? null,
    connecting,
    ageMs: known(evidence.ageMs),
    figures,
    kernelState,
    retransmits: known(figures?.retransmits) ?? 0,
    probes: known(figures?.probes) ?? 0,
    lastDataSentMs: known(figures?.lastDataSentMs),
    userTimeoutMs,
    heartbeat: evidence.heartbeat ?? null,
    lastAnswerMs: known(evidence.heartbeat?.lastAnswerMs),
    regime: connecting
      ? "connecting"
      : (evidence.regime ?? (figures === null ? "idle" : figuresRegime(figures))),
    givenTimer: evidence.timer ?? null,
    lastHeardMs,
    unheardMs,
    selfPausedMs,
    words: new Words(unheardMs, userTimeoutMs, selfPausedMs),
  };
}

/** A number that a duration or a count can be, else null. */
export function known(value: number | null | undefined): number | null {
  return value !== null && value !== undefined && Number.isFinite(value) && value >= 0 ? value : null;
}

/** The younger of the last data and the last acknowledgement, as keepalive_time_elapsed reckons it. */
function heardMs(figures: TcpFigures | null): number | null {
  const heard = [known(figures?.lastDataRecvMs), known(figures?.lastAckRecvMs)].filter((ms) => ms !== null);
  return heard.length === 0 ? null : Math.min(...heard);
}
