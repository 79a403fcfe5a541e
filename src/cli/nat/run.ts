import { Measurement, type Measured, type Server } from "../../client/nat/measurement.js";
import { fittingPlan, together } from "../../client/nat/search/memory.js";
import { formatEndpoint } from "../../client/nat/target.js";
import { formatDuration } from "../../plan/duration.js";
import { planDetection, type Plan } from "../../plan/planner.js";
import { interruptible } from "../interrupt.js";
import { note } from "../note.js";
import { terminalOf } from "../output.js";
import { ProgressLine } from "../progress-line.js";
import { progressText } from "./progress.js";
import { type NatCommandOptions, readRequest } from "./request.js";

export type { NatCommandOptions } from "./request.js";

/**
 * `deadpeer nat`: prints what was found, also where it ended early, and then throws the reason.
 *
 * @throws DeadpeerError `aborted`, `measurement-void`, and what readRequest and the measurement throw.
 */
export async function run(target: string, options: NatCommandOptions): Promise<void> {
  const request = readRequest(target, options);
  // A time that cannot be held anywhere is better refused now than after ten minutes.
  planDetection({ detectWithin: options.detect });
  await interruptible(async (signal) => {
    const measurement = new Measurement({ ...request, signal });
    using progress = new ProgressLine(process.stderr, () => progressText(measurement.progress));
    const measured = await measurement.run((server) => {
      note(beginning(server, request.maxMs));
      progress.start();
    });
    progress.stop();
    await report(measured, target, options);
    if (measured.problem !== null) throw measured.problem;
  });
}

async function report(measured: Measured, target: string, options: NatCommandOptions): Promise<void> {
  const bracket = together(measured.directions);
  const nothing = measured.problem !== null && bracket.survivedMs === 0 && bracket.lostMs === null;
  if (nothing && options.json !== true) return;
  const plan: Plan | null = fittingPlan(bracket, options.detect);
  if (options.json === true) {
    const { natJson } = await import("./json.js");
    process.stdout.write(`${JSON.stringify(natJson(target, measured, plan), null, 2)}\n`);
    return;
  }
  const { natReport } = await import("./report.js");
  process.stdout.write(`${natReport(measured, plan, options.detect, terminalOf(process.stdout))}\n`);
}

function beginning({ address, addresses, isEcho, seenAs }: Server, maxMs: number): string {
  const endpoint = formatEndpoint(address.address, address.port);
  const kind = isEcho ? "deadpeer echo" : "a server of another kind, which only answers";
  const others = addresses > 1 ? `, the first that answers of ${addresses} addresses` : "";
  const seen = seenAs === null ? "" : `; it sees this host as ${formatEndpoint(seenAs.address, seenAs.port)}`;
  return `measuring up to ${formatDuration(maxMs)} against ${endpoint}${others}, ${kind}${seen}; Ctrl-C ends it and reports`;
}
