import { DeadpeerError } from "../errors.js";
import { parseDuration } from "../plan/duration.js";
import {
  type DescribeOptions,
  describeSettings,
  type Plan,
  planDetection,
  type Warning,
} from "../plan/planner.js";
import { linuxDefaults, type Settings, type SettingsChange } from "../plan/settings.js";
import type { WarningCode } from "../plan/warnings.js";
import type { SettingsOptions } from "./settings-options.js";
import { wholeNumber } from "./whole-number.js";

/** What the settings options ask for. */
export interface SettingsRequest {
  /** As the kernel can hold it; what was not asked for is absent. */
  readonly change: SettingsChange;
  /** The plan for `--detect`; null where settings were given one by one. */
  readonly plan: Plan | null;
  /** What is to be said whatever the sockets hold now. */
  readonly warnings: readonly Warning[];
}

/**
 * Reads the settings options of `set`, `run` and `policy`.
 *
 * @param command for the hint where nothing was asked for, e.g. `set --pid 4711`.
 * @throws DeadpeerError `bad-option` for options that exclude one another or none at all, `value-refused` for what the kernel
 *   would refuse, and whatever the planner throws.
 * @example readSettingsRequest({ userTimeout: "30s" }, "set --pid 4711").change // { userTimeoutMs: 30000 }
 */
export function readSettingsRequest(options: SettingsOptions, command: string): SettingsRequest {
  const { detect, path, outage } = options;
  if (detect !== undefined) {
    const plan = planFrom(options, detect);
    return { change: plan.settings, plan, warnings: plan.warnings };
  }
  if (givenNames(options).length === 0) throw nothingAsked(command);
  if (path !== undefined || outage !== undefined)
    throw new DeadpeerError("bad-option", "--path and --outage only mean something with --detect");
  const { settings, warnings } = describeSettings(settingsFrom(options));
  return {
    change: changeOf(options, settings),
    plan: null,
    // The others look at settings as a whole, and here the rest of them is the socket's own.
    warnings: warnings.filter(({ code }) => code === "unit-rounding"),
  };
}

/** What makes the settings something else than was asked for. The rest is for `deadpeer plan` to say, not beside a program. */
const defeatingCodes: ReadonlySet<WarningCode> = new Set<WarningCode>([
  "idle-exceeds-path",
  "keepalive-not-counted",
  "needs-heartbeat",
  "unit-rounding",
]);

/** Those of a request's warnings that have to be said whatever it is for. */
export function defeating({ warnings }: SettingsRequest): readonly Warning[] {
  return warnings.filter(({ code }) => defeatingCodes.has(code));
}

/**
 * The plan for `--detect`.
 *
 * @throws DeadpeerError `bad-option` where settings were given as well, and whatever the planner throws.
 */
export function planFrom(
  options: SettingsOptions & { readonly keepalive?: string },
  detect: string,
  circumstances: DescribeOptions = {},
): Plan {
  const { path, outage } = options;
  const given = givenNames(options);
  if (given.length > 0)
    throw new DeadpeerError(
      "bad-option",
      `--detect chooses the settings itself: leave out ${given.join(", ")}, or leave out --detect`,
    );
  return planDetection({
    detectWithin: detect,
    ...(path === undefined ? {} : { path }),
    ...(outage === undefined ? {} : { outage }),
    ...circumstances,
  });
}

/** The settings that were given one by one, as they are typed. */
export function givenNames(options: SettingsOptions & { readonly keepalive?: string }): string[] {
  const { idle, interval, count, userTimeout, keepalive } = options;
  return Object.entries({ idle, interval, count, "user-timeout": userTimeout, keepalive })
    .filter(([, value]) => value !== undefined)
    .map(([name]) => `--${name}`);
}

export function nothingAsked(command: string): DeadpeerError {
  return new DeadpeerError(
    "bad-option",
    `say how soon a dead peer must be noticed, as in ${command} --detect 35s, or give settings, as in ${command} --idle 60s --interval 10s --count 3`,
  );
}

/**
 * Settings that were given one by one; what is left out is as Linux comes. Any keepalive time turns keepalive on, as giving one
 * to a program does; a user timeout alone does not.
 */
export function settingsFrom({ idle, interval, count, userTimeout }: SettingsOptions): Settings {
  const times = idle !== undefined || interval !== undefined || count !== undefined;
  const defaults = linuxDefaults.keepalive;
  return {
    keepalive: times
      ? {
          idleMs: idle === undefined ? defaults.idleMs : parseDuration(idle, "--idle"),
          intervalMs: interval === undefined ? defaults.intervalMs : parseDuration(interval, "--interval"),
          count: count === undefined ? defaults.count : wholeNumber(count, "--count"),
        }
      : null,
    userTimeoutMs: userTimeout === undefined ? 0 : parseDuration(userTimeout, "--user-timeout"),
  };
}

/** Of settings that were filled up the part that was asked for. */
function changeOf(
  { idle, interval, count, userTimeout }: SettingsOptions,
  { keepalive, userTimeoutMs }: Settings,
): SettingsChange {
  return {
    ...(keepalive === null
      ? {}
      : {
          keepalive: {
            ...(idle === undefined ? {} : { idleMs: keepalive.idleMs }),
            ...(interval === undefined ? {} : { intervalMs: keepalive.intervalMs }),
            ...(count === undefined ? {} : { count: keepalive.count }),
          },
        }),
    ...(userTimeout === undefined ? {} : { userTimeoutMs }),
  };
}
