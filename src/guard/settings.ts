import { DeadpeerError } from "../errors.js";
import { type Plan, type PlanOptions, planDetection } from "../plan/planner.js";
import type { Settings } from "../plan/settings.js";

/** What a guard can be told: a finished plan, what to plan for, or the settings themselves. */
export type Wanted = Plan | PlanOptions | Settings;

/** The settings in whichever form they were given. Planning costs more than guarding: plan once for many sockets. */
export function settingsFrom(wanted: Wanted): Settings {
  if (typeof wanted === "object" && wanted !== null) {
    if ("detectWithin" in wanted) return planDetection(wanted).settings;
    const settings = "settings" in wanted ? wanted.settings : wanted;
    if (isComplete(settings)) return settings;
  }
  throw new DeadpeerError(
    "bad-option",
    'give a plan, options such as { detectWithin: "35s" }, or settings { keepalive, userTimeoutMs }',
  );
}

/** For callers without a type checker: what is missing would be left as it is, and the guard would guard nothing. */
function isComplete(settings: Partial<Settings> | null | undefined): settings is Settings {
  if (typeof settings !== "object" || settings === null) return false;
  const { keepalive, userTimeoutMs, rtoMaxMs = 0 } = settings;
  if (typeof userTimeoutMs !== "number" || typeof rtoMaxMs !== "number") return false;
  if (keepalive === null) return true;
  return [keepalive?.idleMs, keepalive?.intervalMs, keepalive?.count].every((n) => typeof n === "number");
}
