import type { Regime } from "../plan/model.js";
import type { Timer } from "./evidence.js";

/** What became of the peer, or of the connection to it; docs/verdicts.md describes each. */
export const verdictStates = [
  "closed",
  "reset",
  "silent",
  "unreachable",
  "unresponsive",
  "evicted",
  "local",
] as const;
export type VerdictState = (typeof verdictStates)[number];

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
