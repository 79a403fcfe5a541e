import { rmSync } from "node:fs";
import { release, tmpdir } from "node:os";
import { join } from "node:path";
import { DeadpeerError } from "../../errors.js";
import { newOwnedName } from "../../kernel/owned-names.js";
import { builtinScenarios, findScenario, type ScenarioResult } from "../../lab/index.js";
import { exitStatus } from "../exit.js";
import { mayWritePage, writePageTo } from "../html-page.js";
import { interruptible } from "../interrupt.js";
import type { LabReportOptions } from "../lab-report.js";
import { note } from "../note.js";
import { chaptersOf } from "./chapters.js";
import { resultsFrom } from "./from-file.js";
import { labPage } from "./page.js";

/** `deadpeer lab report`; leaves `findings` in process.exitCode if a scenario failed. */
export async function run(names: readonly string[], { out, from }: LabReportOptions): Promise<void> {
  if (from !== undefined && names.length > 0)
    throw new DeadpeerError(
      "bad-option",
      "lab report: --from holds its scenarios already; give names or --from",
    );
  mayWritePage(out);
  const results = from === undefined ? await runAnew(names, out) : resultsFrom(from);
  // Which kernel an earlier run was on, its results do not say.
  if (from !== undefined) await write(results, out, null);
  if (!results.every(({ passed }) => passed)) process.exitCode = exitStatus.findings;
}

/** The captures are needed until they are drawn. */
async function runAnew(names: readonly string[], out: string): Promise<ScenarioResult[]> {
  const scenarios = names.length === 0 ? builtinScenarios() : names.map((name) => findScenario(name));
  const { perform } = await import("../lab-run.js");
  return await interruptible(async (signal) => {
    // Named as a lab's, so that a sweep finds it if we are killed.
    const folder = join(tmpdir(), newOwnedName("lab"));
    try {
      const results = await perform(scenarios, { pcap: folder }, signal);
      await write(results, out, release());
      return results;
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
}

async function write(results: readonly ScenarioResult[], out: string, kernel: string | null): Promise<void> {
  // What could not be set up did not start.
  const at = Math.min(...results.map(({ startedAt }) => startedAt).filter((ms) => ms > 0));
  writePageTo(out, labPage(await chaptersOf(results), { at: Number.isFinite(at) ? at : null, kernel }));
  const failed = results.filter(({ passed }) => !passed).length;
  const outcome = failed === 0 ? "all as expected" : `${failed} not as expected`;
  if (out !== "-") note(`wrote ${out}: ${results.length} runs, ${outcome}`);
}
