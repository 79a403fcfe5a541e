import { DeadpeerError } from "../../errors.js";
import type { Repair, RepairOptions } from "../../host/repair/repair.js";
import type { RepairedConnection } from "../../host/repair/round.js";
import { watchRepair } from "../../host/repair/watch.js";
import { parseDuration } from "../../plan/duration.js";
import { endsText, processText } from "../ls-cells.js";
import { note } from "../note.js";
import { sayGaps } from "./gaps.js";
import { connectionJson } from "./json.js";
import { arrow, heldText, repairText } from "./report.js";

interface WatchOptions {
  readonly watch?: string | true;
  readonly for?: string;
  readonly json?: boolean;
}

/** Shorter, and the looking itself would be the load. */
const shortestIntervalMs = 100;
/** Node's timers count milliseconds in 31 bits. */
const longestMs = 2_147_483_647;

/** `set --watch`: a line for each connection that is changed, until Ctrl-C or the end of `--for`. */
export async function watch(wanted: RepairOptions, options: WatchOptions): Promise<void> {
  const intervalMs =
    options.watch === true ? 1_000 : duration(options.watch ?? "1s", "--watch", shortestIntervalMs);
  const ended = new AbortController();
  const end = (): void => ended.abort();
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, end);
  const timer = options.for === undefined ? undefined : setTimeout(end, duration(options.for, "--for", 1));
  let isFirst = true;
  let changed = 0;
  let run: string | null = null;
  try {
    const { dryRun: _, ...rest } = wanted;
    for await (const look of watchRepair({ ...rest, intervalMs, signal: ended.signal })) {
      // What is there already is shown as `set` shows it; then each new one as it comes.
      if (isFirst && options.json !== true) process.stdout.write(firstText(look));
      else for (const repaired of look.connections) say(repaired, options.json === true);
      isFirst = false;
      sayGaps(look, wanted.filter ?? null);
      run ??= look.run;
      changed += look.connections.filter(
        ({ outcome }) => outcome === "changed" || outcome === "withheld",
      ).length;
    }
  } finally {
    clearTimeout(timer);
    for (const signal of signals) process.off(signal, end);
  }
  const undo = run === null ? "" : `; to put back what was there: deadpeer set --undo ${run}`;
  note(`${changed} connection${changed === 1 ? " was" : "s were"} changed${undo}`);
}

function duration(text: string, what: string, leastMs: number): number {
  const ms = parseDuration(text, what);
  if (ms >= leastMs && ms <= longestMs) return ms;
  throw new DeadpeerError(
    "bad-duration",
    `${what}: ${text} is too ${ms < leastMs ? "short" : "long"}; from ${leastMs}ms to 24d`,
  );
}

function firstText(look: Repair): string {
  return look.connections.length === 0 ? "" : repairText({ ...look, run: null }, false);
}

function say(repaired: RepairedConnection, json: boolean): void {
  if (json) {
    const line = { at: new Date().toISOString(), ...(connectionJson(repaired) as object) };
    process.stdout.write(`${JSON.stringify(line)}\n`);
    return;
  }
  const { connection, outcome, reason, before, after } = repaired;
  // What is as it should be is no news.
  if (outcome === "unchanged" || outcome === "gone") return;
  const what = [
    new Date().toTimeString().slice(0, 8),
    processText(connection.processes),
    endsText(connection),
    arrow(heldText(before), heldText(after)),
    ...(outcome === "changed" ? [] : [reason === null ? outcome : `${outcome}: ${reason}`]),
  ];
  process.stdout.write(`${what.join("  ")}\n`);
}
