import { DeadpeerError } from "../../errors.js";
import { nearest } from "../../plan/nearest.js";
import { exitStatus } from "../exit.js";

/**
 * Reads `--check [codes]`.
 *
 * @param known every code that there is.
 * @returns says whether these findings make the exit status 1.
 * @throws DeadpeerError `bad-option`: a code that does not exist, which would never fail.
 */
export function readCheck(
  check: true | string | undefined,
  known: readonly string[],
): (found: readonly { readonly code: string }[]) => boolean {
  if (check === undefined) return () => false;
  if (check === true) return (found) => found.length > 0;
  const wanted = check.split(",").map((code) => code.trim());
  for (const code of wanted)
    if (!known.includes(code))
      throw new DeadpeerError(
        "bad-option",
        `--check: there is no finding ${JSON.stringify(code)}; did you mean ${nearest(code, known)}?`,
      );
  return (found) => found.some(({ code }) => wanted.includes(code));
}

/** Leaves the status for findings, where there is none yet. */
export function failOnFindings(): void {
  process.exitCode ??= exitStatus.findings;
}
