import { DeadpeerError } from "../../errors.js";
import type { SystemWish } from "../../host/sysctl/targets.js";
import { parseDuration } from "../../plan/duration.js";
import { planDetection } from "../../plan/planner.js";
import { wholeNumber } from "../whole-number.js";

/** The options that say what the system's values shall be, as they were typed. */
export interface WishOptions {
  readonly detect?: string;
  readonly path?: readonly string[];
  readonly outage?: string;
  readonly idle?: string;
  readonly interval?: string;
  readonly count?: string;
  readonly userTimeout?: string;
  readonly retries2?: string;
}

/** What was asked for. */
export interface Wish {
  readonly values: SystemWish;
  /** The user timeout that the plan for `--detect` contains and no sysctl can hold; 0: none. */
  readonly userTimeoutMs: number;
}

/**
 * Reads the options; null: none was given.
 *
 * @throws DeadpeerError `bad-option` for options that exclude one another, and whatever the planner throws.
 */
export function readWish(options: WishOptions): Wish | null {
  const { detect, path, outage, idle, interval, count, userTimeout, retries2 } = options;
  if (userTimeout !== undefined && parseDuration(userTimeout, "--user-timeout") > 0)
    throw new DeadpeerError(
      "bad-option",
      "--user-timeout: no sysctl sets TCP_USER_TIMEOUT for a whole system; --retries2 bounds data in flight instead",
    );
  const bound = retries2 === undefined ? {} : { retries2: wholeNumber(retries2, "--retries2") };
  if (detect === undefined) {
    if (path !== undefined || outage !== undefined)
      throw new DeadpeerError("bad-option", "--path and --outage only mean something with --detect");
    const values: SystemWish = {
      ...(idle === undefined ? {} : { idleMs: parseDuration(idle, "--idle") }),
      ...(interval === undefined ? {} : { intervalMs: parseDuration(interval, "--interval") }),
      ...(count === undefined ? {} : { count: wholeNumber(count, "--count") }),
      ...bound,
    };
    return Object.keys(values).length === 0 ? null : { values, userTimeoutMs: 0 };
  }
  if (idle !== undefined || interval !== undefined || count !== undefined)
    throw new DeadpeerError(
      "bad-option",
      "--detect chooses --idle, --interval and --count itself; give the one or the others",
    );
  const { settings } = planDetection({
    detectWithin: detect,
    ...(path === undefined ? {} : { path }),
    ...(outage === undefined ? {} : { outage }),
  });
  return { values: { ...settings.keepalive, ...bound }, userTimeoutMs: settings.userTimeoutMs };
}
