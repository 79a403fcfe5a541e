import { heldFrom, type HeldValues, valuesOf } from "./held.js";
import type { RunEntry } from "./run.js";
import { meanwhile } from "./transition.js";

/** What undoing one entry of a run means for the socket as it is now. */
export interface WayBack {
  /** What the socket is to hold. */
  readonly to: HeldValues;
  /** Some of what the run had set is something else by now, and stays: the program, or somebody else, has set it since. */
  readonly isChangedSince: boolean;
  /** The entries of later runs; those that stand on this one now lead back to what was there before both. */
  readonly later: readonly RunEntry[];
  /** Whether any of them does. */
  readonly isHandedOn: boolean;
}

/**
 * The way back from what a socket holds now, option by option: what the run has set is put back, what somebody has changed since is
 * left alone, and what a later run has set stays, but that run now leads back to before both.
 *
 * @param now what the socket holds.
 * @param later the entries of later runs for the same socket, the oldest first.
 */
export function wayBack(entry: RunEntry, now: HeldValues, later: readonly RunEntry[]): WayBack {
  const { before, after, carefully = false } = entry;
  const interim = carefully ? meanwhile("silence", heldFrom(before), heldFrom(after)) : heldFrom(after);
  const interimValues = valuesOf(interim);
  const to = [...now];
  const laterBefore = later.map((one) => [...one.before]);
  let isChangedSince = false;
  let isHandedOn = false;
  for (const [option, was] of before.entries()) {
    const set = after[option];
    if (was === set) continue;
    const taker = later.findIndex((one) => one.before[option] !== one.after[option]);
    const takerBefore = laterBefore[taker];
    if (takerBefore === undefined) {
      if (now[option] === set || now[option] === interimValues[option]) to[option] = was;
      else if (now[option] !== was) isChangedSince = true;
    } else if (takerBefore[option] === set) {
      takerBefore[option] = was;
      isHandedOn = true;
    }
  }
  return {
    to: to as unknown as HeldValues,
    isChangedSince,
    later: later.map((one, index) => ({ ...one, before: laterBefore[index] as unknown as HeldValues })),
    isHandedOn,
  };
}
