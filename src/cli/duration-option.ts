import { DeadpeerError } from "../errors.js";
import { formatDuration, parseDuration } from "../plan/duration.js";

/** Longer no timer of Node waits: 2³¹ − 1 ms. */
const longestMs = 2_147_483_647;

/**
 * Reads an option's duration that has to be waited for.
 *
 * @throws DeadpeerError `bad-duration`; `bad-option`: too short, or longer than 24 days.
 */
export function durationFrom(text: string, leastMs: number, what: string): number {
  const ms = parseDuration(text, what);
  if (ms < leastMs)
    throw new DeadpeerError(
      "bad-option",
      `${what} ${text} is too short; give ${formatDuration(leastMs)} or more`,
    );
  if (ms > longestMs) throw new DeadpeerError("bad-option", `${what} ${text} is too long; give 24d or less`);
  return ms;
}
