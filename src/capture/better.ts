import { detectionTimes, type Regime } from "../plan/model.js";
import type { Settings } from "../plan/settings.js";
import type { Verdict } from "../verdict/verdict.js";

/** What settings made for a time to detect would have done. */
export interface BetterSettings {
  readonly settings: Settings;
  /** How long after the last sign of life they would have noticed. */
  readonly noticedAfterMs: number;
  /** How much sooner than it was noticed. */
  readonly earlierMs: number;
}

/**
 * What the documents plan for: `planDetection({ detectWithin: "35s" })`, to which a test holds it. As data, since loading the planner
 * takes longer than explaining a small capture.
 */
export const betterSettings: Settings = {
  keepalive: { idleMs: 19_000, intervalMs: 2_000, count: 7 },
  userTimeoutMs: 32_350,
};

const betterTimes = detectionTimes(betterSettings);

/** What better settings would have done; null: nothing sooner. */
export function betterThan({ state, regime, detectedAfterMs }: Verdict): BetterSettings | null {
  if (detectedAfterMs === null || (state !== "silent" && state !== "unresponsive")) return null;
  const noticedAfterMs = regimeTime(regime);
  if (noticedAfterMs === null || noticedAfterMs >= detectedAfterMs) return null;
  return { settings: betterSettings, noticedAfterMs, earlierMs: detectedAfterMs - noticedAfterMs };
}

function regimeTime(regime: Regime): number | null {
  if (regime === "idle") return betterTimes.idleMs;
  if (regime === "zero-window") return betterTimes.zeroWindowMs;
  return regime === "connecting" ? betterTimes.connectingMs : betterTimes.sendingMs;
}
