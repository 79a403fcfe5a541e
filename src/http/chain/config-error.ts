import { DeadpeerError } from "../../errors.js";

/** @example badConfiguration("nginx.conf:3", "a block is not closed") */
export function badConfiguration(place: string, problem: string, cause?: unknown): DeadpeerError {
  return new DeadpeerError("bad-configuration", `${place}: ${problem}`, { cause });
}
