import type { Repair } from "../../host/repair/repair.js";
import { formatDuration } from "../../plan/duration.js";
import { note } from "../note.js";
import { repairJson } from "./json.js";
import { repairText } from "./report.js";

interface PrintOptions {
  readonly json?: boolean;
  readonly dryRun?: boolean;
}

export function printRepair(done: Repair, { json = false, dryRun = false }: PrintOptions): void {
  process.stdout.write(
    json ? `${JSON.stringify(repairJson(done, !dryRun), null, 2)}\n` : repairText(done, dryRun),
  );
}

/** What `set` may have to wait for. */
export const sayWaiting = {
  onWait: (): void => note("another deadpeer is changing sockets; waiting for it"),
  onPatience: (peers: number, forMs: number): void =>
    note(
      `${peers} connection${peers === 1 ? " has" : "s have"} been silent for long: waiting for ${peers === 1 ? "its peer" : "their peers"} to answer, ${formatDuration(Math.ceil(forMs / 1_000) * 1_000)} at most`,
    ),
};
