import { DeadpeerError } from "../errors.js";
import { type FilterOptions, parseFilter } from "../host/filter.js";
import type { PathBox } from "../host/findings.js";
import { HostWalk, type Sight, type SurveyOptions } from "../host/survey.js";
import { exitStatus } from "./exit.js";
import { gaps } from "./ls-gaps.js";
import { note } from "./note.js";

/** What commander makes of the command line. */
export interface LsOptions extends FilterOptions {
  readonly json?: boolean;
  /** true: without an interval. */
  readonly watch?: string | true;
  readonly check?: boolean;
  readonly fast?: boolean;
  readonly path?: readonly string[];
  readonly group: boolean;
}

/** `deadpeer ls`; leaves `findings` in process.exitCode if `--check` found any. */
export async function runLs(options: LsOptions): Promise<void> {
  refuseContradictions(options);
  const wanted: SurveyOptions = {
    filter: parseFilter(withQuestion(options)),
    fast: options.fast ?? false,
    path: await boxes(options.path ?? []),
  };
  if (options.watch !== undefined) {
    const { watch } = await import("./ls-watch.js");
    await watch(wanted, options.watch === true ? "2s" : options.watch, options.group);
    return;
  }
  const walk = new HostWalk(wanted);
  if (options.json === true) {
    const { writeJson } = await import("./ls-json.js");
    await writeJson(walk.passing(), process.stdout);
  } else {
    const { report } = await import("./ls-report.js");
    process.stdout.write(report({ connections: [...walk], sight: walk.sight() }, options));
  }
  const sight = walk.sight();
  for (const line of gaps(sight)) note(line);
  if (options.check === true) check(sight);
}

function refuseContradictions({ watch, json, check }: LsOptions): void {
  if (watch === undefined) return;
  if (json === true)
    throw new DeadpeerError(
      "bad-option",
      "--watch draws for people and --json prints once; give one of them",
    );
  if (check === true)
    throw new DeadpeerError("bad-option", "--watch never ends and --check answers once; give one of them");
}

/** `--check` by itself asks for the worst: connections that would never notice. */
function withQuestion(options: LsOptions): FilterOptions {
  const asks = options.unprotected === true || options.slowerThan !== undefined;
  return options.check === true && !asks ? { ...options, unprotected: true } : options;
}

async function boxes(names: readonly string[]): Promise<readonly PathBox[]> {
  if (names.length === 0) return [];
  const { findMiddlebox } = await import("../plan/middleboxes.js");
  return names.map((name) => findMiddlebox(name));
}

function check({ matched, considered }: Sight): void {
  note(
    matched === 0
      ? `check passed: none of ${considered} connections matches`
      : `check failed: ${matched} of ${considered} connections match`,
  );
  if (matched > 0) process.exitCode = exitStatus.findings;
}
