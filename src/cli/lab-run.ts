import { mkdirSync } from "node:fs";
import { constants, setPriority } from "node:os";
import { DeadpeerError } from "../errors.js";
import { families } from "../lab/network.js";
import type { ScenarioResult } from "../lab/run/result.js";
import { runScenarios } from "../lab/run/batch.js";
import { builtinScenarios, findScenario } from "../lab/scenario/load.js";
import type { Scenario } from "../lab/scenario/schema.js";
import { sweep } from "../lab/sweep.js";
import { requireLabTools } from "../lab/tools.js";
import { exitStatus } from "./exit.js";
import type { LabRunOptions } from "./lab.js";
import { keepUntilInterrupted } from "./lab-keep.js";
import { Progress } from "./lab-progress.js";
import { reportText } from "./lab-report-text.js";
import { note } from "./note.js";
import { interruptible } from "./interrupt.js";

/** `deadpeer lab run`; leaves `findings` in process.exitCode if a scenario fails. */
export async function run(names: readonly string[], options: LabRunOptions): Promise<void> {
  const scenarios = chosen(names, options);
  const results = await interruptible((signal) => perform(scenarios, options, signal));
  process.stdout.write(
    options.json === true ? `${JSON.stringify(results, null, 2)}\n` : reportText(results, process.stdout),
  );
  if (!results.every(({ passed }: ScenarioResult) => passed)) process.exitCode = exitStatus.findings;
}

/** Runs scenarios with progress on stderr, after a sweep; an aborted run leaves nothing behind. */
export async function perform(
  scenarios: readonly Scenario[],
  options: Pick<LabRunOptions, "keep" | "pcap" | "ipv4" | "ipv6">,
  signal: AbortSignal,
): Promise<ScenarioResult[]> {
  if (options.pcap !== undefined) makeFolder(options.pcap);
  requireLabTools();
  goFirst();
  const swept = await sweep();
  if (swept.length > 0) note(`removed what a killed lab had left: ${swept.length} namespaces`);
  const progress = new Progress(process.stderr);
  try {
    return await runScenarios(scenarios, {
      signal,
      families: families.filter(
        (family) => !((options.ipv4 && family === 6) || (options.ipv6 && family === 4)),
      ),
      ...(options.pcap === undefined ? {} : { pcapFolder: options.pcap }),
      ...(options.keep === true ? { beforeEnd: (stage) => keepUntilInterrupted(stage, signal) } : {}),
      onStart: (scenario, family) => progress.begin(scenario, family),
      onDisturbed: () => progress.again(),
      onResult: (result) => progress.end(result),
    });
  } finally {
    progress.close();
  }
}

/** Better now than after a minute. */
function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new DeadpeerError("bad-option", `--pcap: ${folder} cannot be made (${code})`, { cause });
  }
}

/**
 * Programs that are late would look like peers that are. What the lab starts inherits the priority; it hardly uses the processor,
 * so others lose nothing.
 */
function goFirst(): void {
  try {
    setPriority(constants.priority.PRIORITY_HIGH);
  } catch {
    // Root of a container without CAP_SYS_NICE: it works, unless the machine is very busy.
  }
}

function chosen(names: readonly string[], { all, ipv4, ipv6 }: LabRunOptions): Scenario[] {
  if (all === true && names.length > 0)
    throw new DeadpeerError("bad-option", "lab run: --all names every scenario; give names or --all");
  if (ipv4 === true && ipv6 === true)
    throw new DeadpeerError(
      "bad-option",
      "lab run: --ipv4 and --ipv6 leave nothing to run; without either, both are",
    );
  if (all === true) return builtinScenarios();
  if (names.length === 0)
    throw new DeadpeerError(
      "bad-option",
      "lab run: name scenarios (`deadpeer lab list` shows them), or give --all",
    );
  return names.map((name) => findScenario(name));
}
