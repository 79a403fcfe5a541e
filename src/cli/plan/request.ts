import { DeadpeerError } from "../../errors.js";
import { parseDuration } from "../../plan/duration.js";
import { type DescribeOptions, describeSettings, type Plan, planDetection } from "../../plan/planner.js";
import { linuxDefaults, type Settings } from "../../plan/settings.js";
import { wholeNumber } from "../whole-number.js";

/** The options that ask for a plan, as they were typed. */
export interface RequestOptions {
  readonly detect?: string;
  readonly outage?: string;
  readonly idle?: string;
  readonly interval?: string;
  readonly count?: string;
  readonly userTimeout?: string;
  readonly keepalive?: string;
  readonly path?: readonly string[];
  readonly connections?: string;
  readonly retries2?: string;
}

/**
 * Makes the plan that the options ask for, in either direction.
 *
 * @throws DeadpeerError `bad-option` for options that exclude one another, and whatever the planner throws.
 */
export function answer(options: RequestOptions): Plan {
  const { detect, outage, idle, interval, count, userTimeout, keepalive } = options;
  const given = Object.entries({ idle, interval, count, "user-timeout": userTimeout, keepalive })
    .filter(([, value]) => value !== undefined)
    .map(([name]) => `--${name}`);
  if (detect !== undefined) {
    if (given.length > 0)
      throw new DeadpeerError(
        "bad-option",
        `--detect chooses the settings itself: leave out ${given.join(", ")}, or leave out --detect to learn what they mean`,
      );
    return planDetection({
      detectWithin: detect,
      ...(outage === undefined ? {} : { outage }),
      ...circumstances(options),
    });
  }
  if (given.length === 0)
    throw new DeadpeerError(
      "bad-option",
      "say how soon a dead peer must be noticed, as in plan --detect 35s, or give settings, as in plan --idle 60s --interval 10s --count 3",
    );
  if (outage !== undefined)
    throw new DeadpeerError("bad-option", "--outage only means something with --detect");
  return describeSettings(settingsFrom(options), circumstances(options));
}

function circumstances({ path, connections, retries2 }: RequestOptions): DescribeOptions {
  return {
    ...(path === undefined ? {} : { path }),
    ...(connections === undefined ? {} : { connections: wholeNumber(connections, "--connections") }),
    ...(retries2 === undefined ? {} : { system: { ...linuxDefaults, retries2: readRetries(retries2) } }),
  };
}

/** Any keepalive time turns keepalive on, as giving one to a program does; a user timeout alone does not. */
function settingsFrom({ idle, interval, count, userTimeout, keepalive }: RequestOptions): Settings {
  if (keepalive !== undefined && keepalive !== "on" && keepalive !== "off")
    throw new DeadpeerError("bad-option", `--keepalive: "${keepalive}" is neither on nor off`);
  const times = idle !== undefined || interval !== undefined || count !== undefined;
  if (keepalive === "off" && times)
    throw new DeadpeerError(
      "bad-option",
      "--keepalive off leaves no meaning to --idle, --interval and --count",
    );
  const defaults = linuxDefaults.keepalive;
  return {
    keepalive:
      times || keepalive === "on"
        ? {
            idleMs: idle === undefined ? defaults.idleMs : parseDuration(idle, "--idle"),
            intervalMs: interval === undefined ? defaults.intervalMs : parseDuration(interval, "--interval"),
            count: count === undefined ? defaults.count : wholeNumber(count, "--count"),
          }
        : null,
    userTimeoutMs: userTimeout === undefined ? 0 : parseDuration(userTimeout, "--user-timeout"),
  };
}

/** proc_dou8vec_minmax (net/ipv4/sysctl_net_ipv4.c) keeps tcp_retries2 in a byte. */
function readRetries(text: string): number {
  const retries = wholeNumber(text, "--retries2");
  if (retries > 255)
    throw new DeadpeerError("value-refused", `--retries2 ${text}: the kernel refuses it; it takes 0 to 255`);
  return retries;
}
