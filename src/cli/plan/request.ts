import { DeadpeerError } from "../../errors.js";
import { type DescribeOptions, describeSettings, type Plan } from "../../plan/planner.js";
import { linuxDefaults, type Settings } from "../../plan/settings.js";
import type { SettingsOptions } from "../settings-options.js";
import { givenNames, nothingAsked, planFrom, settingsFrom } from "../settings-request.js";
import { wholeNumber } from "../whole-number.js";

/** The options that ask for a plan, as they were typed. */
export interface RequestOptions extends SettingsOptions {
  readonly keepalive?: string;
  readonly connections?: string;
  readonly retries2?: string;
}

/**
 * Makes the plan that the options ask for, in either direction.
 *
 * @throws DeadpeerError `bad-option` for options that exclude one another, and whatever the planner throws.
 */
export function answer(options: RequestOptions): Plan {
  const { detect, outage, path } = options;
  if (detect !== undefined) return planFrom(options, detect, circumstances(options));
  if (givenNames(options).length === 0) throw nothingAsked("plan");
  if (outage !== undefined)
    throw new DeadpeerError("bad-option", "--outage only means something with --detect");
  return describeSettings(withKeepalive(options), {
    ...(path === undefined ? {} : { path }),
    ...circumstances(options),
  });
}

function circumstances({ connections, retries2 }: RequestOptions): DescribeOptions {
  return {
    ...(connections === undefined ? {} : { connections: wholeNumber(connections, "--connections") }),
    ...(retries2 === undefined ? {} : { system: { ...linuxDefaults, retries2: readRetries(retries2) } }),
  };
}

/** `--keepalive` switches keepalive on without any time, or says that it is off. */
function withKeepalive(options: RequestOptions): Settings {
  const { keepalive } = options;
  const settings = settingsFrom(options);
  if (keepalive === undefined) return settings;
  if (keepalive === "on") return { ...settings, keepalive: settings.keepalive ?? linuxDefaults.keepalive };
  if (keepalive !== "off")
    throw new DeadpeerError("bad-option", `--keepalive: "${keepalive}" is neither on nor off`);
  if (settings.keepalive !== null)
    throw new DeadpeerError(
      "bad-option",
      "--keepalive off leaves no meaning to --idle, --interval and --count",
    );
  return settings;
}

/** proc_dou8vec_minmax (net/ipv4/sysctl_net_ipv4.c) keeps tcp_retries2 in a byte. */
function readRetries(text: string): number {
  const retries = wholeNumber(text, "--retries2");
  if (retries > 255)
    throw new DeadpeerError("value-refused", `--retries2 ${text}: the kernel refuses it; it takes 0 to 255`);
  return retries;
}
