import { readFileSync } from "node:fs";
import { DeadpeerError } from "../../errors.js";
import type { ScenarioResult } from "../../lab/index.js";

/** Fields without which there is nothing to report on; their types follow from the command that wrote them. */
const needed = [
  "name",
  "family",
  "title",
  "outcome",
  "expected",
  "observed",
  "hosts",
  "connections",
] as const;

/**
 * The results that `lab run --json` printed.
 *
 * @throws DeadpeerError `bad-option`: the file cannot be read, or holds something else.
 */
export function resultsFrom(file: string): ScenarioResult[] {
  const results = parsed(file);
  if (!Array.isArray(results) || results.length === 0 || !results.every(isResult))
    throw new DeadpeerError("bad-option", `--from ${file}: not what \`deadpeer lab run --json\` prints`);
  return results as ScenarioResult[];
}

function isResult(value: unknown): boolean {
  return typeof value === "object" && value !== null && needed.every((field) => field in value);
}

function parsed(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === undefined ? `is not JSON: ${message}` : `cannot be read (${code})`;
    throw new DeadpeerError("bad-option", `--from: ${file} ${reason}`, { cause: error });
  }
}
