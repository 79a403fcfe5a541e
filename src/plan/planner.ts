import { DeadpeerError } from "../errors.js";
import { checkSettings, type Rounding } from "./check.js";
import { chooseSettings, type Demands } from "./choose.js";
import { durationMs, formatDuration } from "./duration.js";
import { findMiddlebox, type Middlebox } from "./middleboxes.js";
import { type Detection, detectionTimes } from "./model.js";
import { type RidesOut, ridesOut } from "./rides-out.js";
import { linuxDefaults, type Settings, type SystemDefaults } from "./settings.js";
import { type Traffic, trafficOf } from "./traffic.js";
import { type Warning, warningsAbout } from "./warnings.js";

export type { Warning, WarningCode } from "./warnings.js";

export interface DescribeOptions {
  /** Middleboxes on the path, by their names in the catalogue, or by the idle timeout of one's own: "90s". */
  readonly path?: readonly string[];
  /** For so many connections the traffic is summed up. */
  readonly connections?: number;
  /** What the system decides; Linux as it comes unless given. */
  readonly system?: SystemDefaults;
}

export interface PlanOptions extends DescribeOptions {
  /** The time within which a dead peer must be noticed: a duration such as "35s", or milliseconds. */
  readonly detectWithin: string | number;
  /** An interruption of the path that a connection must survive. Unless given: a fifth of the time to detect, at most 60 s. */
  readonly outage?: string | number;
}

/** Settings and what they mean. */
export interface Plan {
  readonly settings: Settings;
  readonly detection: Detection;
  readonly ridesOutMs: RidesOut;
  readonly traffic: Traffic;
  readonly warnings: readonly Warning[];
  /** The time to detect that was asked for; null if the settings were given. */
  readonly budgetMs: number | null;
  readonly path: readonly Middlebox[];
}

/**
 * Settings that notice a dead peer within a time, in every regime, with the fewest packets.
 *
 * @throws DeadpeerError `bad-duration`, `bad-option`, `unknown-path`, or `budget-impossible` with the nearest that can be held.
 * @example planDetection({ detectWithin: "35s", path: ["aws-nlb"], outage: "10s" }).settings.userTimeoutMs // 32350
 */
export function planDetection(options: PlanOptions): Plan {
  const budgetMs = durationMs(options.detectWithin, "time to detect");
  const path = findPath(options.path);
  const pathIdleMs = path.filter(({ countsKeepalive }) => countsKeepalive).map(({ idleMs }) => idleMs);
  const outageMs = options.outage === undefined ? null : durationMs(options.outage, "outage");
  const settings = firstPossible(outageMs === null ? defaultOutagesMs(budgetMs) : [outageMs], (ms) =>
    chooseSettings({ budgetMs, outageMs: ms, pathIdleMs }),
  );
  if (settings === undefined) throw impossible({ budgetMs, outageMs: outageMs ?? 0, pathIdleMs });
  return meaningOf(settings, { ...options, path, budgetMs, roundings: [], outageAsked: outageMs !== null });
}

/**
 * What given settings mean: the other direction.
 *
 * @throws DeadpeerError `value-refused` for what the kernel would refuse, `bad-option`, `unknown-path`.
 * @example describeSettings({ keepalive: null, userTimeoutMs: 30_000 }).detection.idleMs // null: never
 */
export function describeSettings(settings: Settings, options: DescribeOptions = {}): Plan {
  const checked = checkSettings(settings);
  const path = findPath(options.path);
  return meaningOf(checked.settings, {
    ...options,
    path,
    budgetMs: null,
    roundings: checked.roundings,
    outageAsked: false,
  });
}

interface Context {
  readonly path: readonly Middlebox[];
  readonly budgetMs: number | null;
  readonly roundings: readonly Rounding[];
  readonly outageAsked: boolean;
  readonly connections?: number;
  readonly system?: SystemDefaults;
}

function meaningOf(settings: Settings, context: Context): Plan {
  const { path, budgetMs, roundings, outageAsked, connections, system = linuxDefaults } = context;
  if (connections !== undefined && !(Number.isSafeInteger(connections) && connections >= 1)) {
    throw new DeadpeerError("bad-option", `connections: ${connections} is not a whole number from 1 on`);
  }
  const detection = detectionTimes(settings, system);
  const ridesOutMs = ridesOut(settings, system);
  return {
    settings,
    detection,
    ridesOutMs,
    traffic: trafficOf(settings, connections),
    warnings: warningsAbout({ settings, detection, ridesOutMs, path, roundings, outageAsked }),
    budgetMs,
    path,
  };
}

function findPath(names: readonly string[] = []): readonly Middlebox[] {
  return [...new Set(names.map(findMiddlebox))];
}

/**
 * The outages to ride out when none is asked for, the best first. Longer than a minute is an outage to the application too;
 * below that a fifth of the budget leaves most of it to silence. A box on the path may force an idle time so short that
 * less must do.
 */
function defaultOutagesMs(budgetMs: number): readonly number[] {
  const best = Math.min(budgetMs / 5, 60_000);
  return [best, best / 2, best / 4, 0];
}

function firstPossible(
  outagesMs: readonly number[],
  choose: (outageMs: number) => Settings | undefined,
): Settings | undefined {
  for (const outageMs of outagesMs) {
    const settings = choose(outageMs);
    if (settings !== undefined) return settings;
  }
  return undefined;
}

/** What a budget cannot hold, and by bisection over whole seconds the nearest that can: more time never makes it harder. */
function impossible(demands: Demands): DeadpeerError {
  const { budgetMs, outageMs } = demands;
  const possible = (seconds: number): boolean =>
    chooseSettings({ ...demands, budgetMs: seconds * 1_000 }) !== undefined;
  const asked = `a dead peer cannot be noticed within ${formatDuration(budgetMs)}${
    outageMs > 0 ? ` if an outage of ${formatDuration(outageMs)} is to be ridden out` : ""
  }`;
  let below = Math.floor(budgetMs / 1_000);
  let within = Math.max(2, below) * 2;
  while (!possible(within)) {
    if (within > longestBudgetSeconds) {
      return new DeadpeerError(
        "budget-impossible",
        `${asked}, nor within any other time on this path; ask for a shorter outage`,
      );
    }
    [below, within] = [within, within * 2];
  }
  while (within - below > 1) {
    const middle = Math.floor((below + within) / 2);
    if (possible(middle)) within = middle;
    else below = middle;
  }
  return new DeadpeerError(
    "budget-impossible",
    `${asked}; the nearest time that can be held is ${formatDuration(within * 1_000)}`,
  );
}

/** Beyond 127 probes 32767 s apart nothing can be ridden out any more. */
const longestBudgetSeconds = 128 * 32_767;
