import type { Regime } from "../plan/model.js";
import type { Evidence, TcpFigures, Timer } from "./evidence.js";
import { factsFrom, type Facts } from "./facts.js";
import type { Finding, VerdictState } from "./finding.js";
import { rules } from "./rules.js";

export type { VerdictState } from "./finding.js";

/** Why a connection ended. */
export interface Verdict {
  readonly state: VerdictState;
  /** When it was noticed, milliseconds since 1970. */
  readonly at: number;
  /** How long before `at` data or an acknowledgement last came from the peer; null: never, or not known. */
  readonly lastHeardMs: number | null;
  /**
   * How long the trouble went unnoticed: since the peer was last heard, for a connect since it began, for an unresponsive peer
   * since its program last took or answered anything. null: our own side ended it, so nothing was noticed, or not known.
   */
  readonly detectedAfterMs: number | null;
  /** What the connection was doing when it ended. */
  readonly regime: Regime;
  /** The timer that noticed. An idle death is `keepalive` also where a user timeout moved its deadline. */
  readonly timer: Timer;
  /** The error the program was given, by name. */
  readonly errno: string | null;
  /** The tcp_info figures it leans on; null: none were to be had. */
  readonly figures: TcpFigures | null;
  /** `certain`: the evidence proves the state. `likely`: it could also be one of `couldAlsoBe`. */
  readonly certainty: "certain" | "likely";
  readonly couldAlsoBe: readonly VerdictState[];
  /** For how long this process or machine itself did not run; null: nothing of the kind is known. */
  readonly selfPausedMs: number | null;
  /** All of it in one sentence or two, for people. */
  readonly sentence: string;
}

/**
 * Finds the verdict for a piece of evidence. Total and deterministic: every evidence gives exactly one state, and none makes it
 * throw.
 *
 * @example
 * judge({ at: Date.now(), errno: "ETIMEDOUT", figures: { retransmits: 0, probes: 3 } }).state // "silent"
 */
export function judge(evidence: Evidence): Verdict {
  const facts = factsFrom(evidence);
  // The last rule always applies.
  const rule = rules.find((candidate) => candidate.when(facts)) as (typeof rules)[number];
  return pardon(facts, verdictFrom(facts, rule.find(facts)));
}

function verdictFrom(facts: Facts, finding: Finding): Verdict {
  const couldAlsoBe = finding.couldAlsoBe ?? [];
  const ours = finding.state === "local" || finding.state === "evicted";
  return {
    state: finding.state,
    at: facts.at,
    lastHeardMs: facts.lastHeardMs,
    detectedAfterMs: ours ? null : (finding.detectedAfterMs ?? facts.unheardMs),
    regime: finding.regime ?? facts.regime,
    timer: facts.givenTimer ?? finding.timer ?? "none",
    errno: facts.errno,
    figures: facts.figures,
    certainty: couldAlsoBe.length === 0 ? "certain" : "likely",
    couldAlsoBe,
    selfPausedMs: facts.selfPausedMs,
    sentence: finding.sentence,
  };
}

/**
 * A side that did not run cannot blame the other: its own answers and heartbeats were missing, and what it calls silence may
 * lie in its own sleep. Only a pause that covers a good part of the silence counts.
 */
function pardon(facts: Facts, verdict: Verdict): Verdict {
  if (facts.selfPausedMs === null || verdict.state === "local" || verdict.state === "evicted") return verdict;
  if (facts.selfPausedMs * 4 < (verdict.detectedAfterMs ?? 0)) return verdict;
  return {
    ...verdict,
    certainty: "likely",
    couldAlsoBe: verdict.couldAlsoBe.includes("local")
      ? verdict.couldAlsoBe
      : [...verdict.couldAlsoBe, "local"],
    sentence: `${verdict.sentence} But this process or machine itself did not run for ${facts.words.selfPaused}, so the cause may lie on this side.`,
  };
}
