import { DeadpeerError } from "../errors.js";
import { type Plan, type PlanOptions, planDetection } from "../plan/planner.js";
import type { Settings } from "../plan/settings.js";

/** What a guard can be told: a finished plan, what to plan for, or the settings themselves. */
export type Wanted = Plan | PlanOptions | Settings;

/** The settings in whichever form they were given. Planning costs more than guarding: plan once for many sockets. */
export function settingsFrom(wanted: Wanted): Settings {
  if (typeof wanted === "object" && wanted !== null) {
    if ("settings" in wanted) return wanted.settings;
    if ("detectWithin" in wanted) return planDetection(wanted).settings;
    if ("keepalive" in wanted && "userTimeoutMs" in wanted) return wanted;
  }
  throw new DeadpeerError(
    "bad-option",
    'give a plan, options such as { detectWithin: "35s" }, or settings { keepalive, userTimeoutMs }',
  );
}
