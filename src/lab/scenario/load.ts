import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { DeadpeerError } from "../../errors.js";
import { nearest } from "../../plan/nearest.js";
import { checkReferences } from "./check.js";
import { firstProblem } from "./problem.js";
import { type Scenario, scenarioSchema } from "./schema.js";

const builtin = new URL("../scenarios/", import.meta.url);

/** The names of the scenarios that come with deadpeer, in their order. */
export function scenarioNames(): string[] {
  return readdirSync(builtin)
    .filter((file) => file.endsWith(".json"))
    .sort()
    .map((file) => file.replace(/^\d+[a-z]?-/, "").replace(/\.json$/, ""));
}

/** Those scenarios. */
export function builtinScenarios(): Scenario[] {
  return readdirSync(builtin)
    .filter((file) => file.endsWith(".json"))
    .sort()
    .map((file) => readScenario(fileURLToPath(new URL(file, builtin))));
}

/**
 * A scenario by its name, or by its file: what has a slash or ends in .json.
 *
 * @throws DeadpeerError `unknown-scenario`, `bad-scenario`.
 * @example findScenario("cut-off"); findScenario("./mine.json")
 */
export function findScenario(nameOrFile: string): Scenario {
  if (nameOrFile.includes("/") || nameOrFile.endsWith(".json")) return readScenario(nameOrFile);
  const found = builtinScenarios().find(({ name }) => name === nameOrFile);
  if (found !== undefined) return found;
  throw new DeadpeerError(
    "unknown-scenario",
    `there is no scenario "${nameOrFile}"; did you mean "${nearest(nameOrFile, scenarioNames())}"? (\`deadpeer lab list\` names all; a file's name ends in .json)`,
  );
}

/** @throws DeadpeerError `bad-scenario` with the file, the path inside it, and what is allowed there. */
export function readScenario(file: string): Scenario {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new DeadpeerError("bad-scenario", `${file} cannot be read (${code})`, { cause });
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    const { message } = cause as Error;
    throw new DeadpeerError(
      "bad-scenario",
      `${file}:${lineOf(text, message)}: is not JSON: ${oneLine(message)}`,
      {
        cause,
      },
    );
  }
  return parseScenario(json, file);
}

/**
 * @param what names the source in errors.
 * @throws DeadpeerError `bad-scenario`.
 */
export function parseScenario(json: unknown, what: string): Scenario {
  const parsed = scenarioSchema.safeParse(json);
  const problem = parsed.success
    ? checkReferences(parsed.data)
    : firstProblem(scenarioSchema, parsed.error, json);
  if (problem !== null)
    throw new DeadpeerError("bad-scenario", `${what}: ${problem.path}: ${problem.message}`);
  return parsed.data as Scenario;
}

/** The parser names a position; where it does not, the text ended too early. */
function lineOf(text: string, message: string): number {
  const position = /position (\d+)/.exec(message)?.[1];
  return text.slice(0, position === undefined ? text.length : Number(position)).split("\n").length;
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, " ");
}
