import { DeadpeerError } from "../../errors.js";
import { nearest } from "../../plan/nearest.js";
import { type VerdictState, verdictStates } from "../../verdict/finding.js";

/**
 * Reads `--only`: states of verdicts, several in one word with commas.
 *
 * @throws DeadpeerError `bad-option` for a name that is none, with the nearest that is.
 * @example parseOnly(["silent,unreachable"]) // ["silent", "unreachable"]
 */
export function parseOnly(texts: readonly string[]): VerdictState[] {
  return texts
    .flatMap((text) => text.split(","))
    .map((part) => {
      const name = part.trim().toLowerCase();
      const state = verdictStates.find((known) => known === name);
      if (state !== undefined) return state;
      throw new DeadpeerError(
        "bad-option",
        `--only: there is no verdict "${part.trim()}"; did you mean ${nearest(name, verdictStates)}?`,
      );
    });
}
