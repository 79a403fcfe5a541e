import { DeadpeerError } from "../../errors.js";
import { requireLinux } from "../../kernel/platform.js";
import { exitStatus } from "../exit.js";
import { note } from "../note.js";
import { pageOf } from "../ls-report.js";
import { files } from "./files.js";
import { labs } from "./labs.js";
import { policies } from "./policies.js";
import { runs } from "./runs.js";
import { setRuns } from "./set-runs.js";
import { sysctls } from "./sysctls.js";
import { cleanupText } from "./text.js";
import type { Kept, Leftover, Search, Traces } from "./trace.js";
import { watches } from "./watches.js";

/** What commander collects for `deadpeer cleanup`. */
export interface CleanupOptions {
  readonly dryRun?: boolean;
  readonly all?: boolean;
  readonly json?: boolean;
}

/** What was found, and what came of it. */
export interface Cleanup {
  readonly removed: Omit<Leftover, "remove">[];
  readonly kept: Kept[];
  /** What could not be removed, and why. */
  readonly failed: (Omit<Leftover, "remove"> & { readonly because: string })[];
  /** What could not be looked for, and why. */
  readonly unseen: { readonly what: string; readonly because: string }[];
}

/** Labs first: what runs inside one may have made any of the others. */
const searches: readonly Search[] = [labs, watches, runs, policies, setRuns, sysctls, files];

export async function runCleanup({
  dryRun = false,
  all = false,
  json = false,
}: CleanupOptions): Promise<void> {
  requireLinux("what deadpeer leaves behind");
  const cleanup: Cleanup = { removed: [], kept: [], failed: [], unseen: [] };
  for (const search of searches) {
    const { leftovers, kept } = await found(search, all, cleanup);
    cleanup.kept.push(...kept);
    for (const { remove, ...leftover } of leftovers) {
      const because = dryRun ? null : await attempt(remove);
      if (because === null) cleanup.removed.push(leftover);
      else cleanup.failed.push({ ...leftover, because });
    }
  }
  process.stdout.write(
    json
      ? `${JSON.stringify({ dryRun, ...cleanup }, null, 2)}\n`
      : cleanupText(cleanup, dryRun, pageOf(process.stdout).table),
  );
  for (const { what, because } of cleanup.unseen) note(`${what} could not be looked for: ${because}`);
  for (const { what, name, because } of cleanup.failed)
    note(`${what} ${name} could not be removed: ${because}`);
  if (cleanup.failed.length > 0) process.exitCode = exitStatus.missing;
}

async function found({ subject, look }: Search, all: boolean, { unseen }: Cleanup): Promise<Traces> {
  try {
    return await look({ all });
  } catch (error) {
    if (!(error instanceof DeadpeerError)) throw error;
    // What the kernel has not cannot have left anything.
    if (error.code !== "feature-missing") unseen.push({ what: subject, because: error.message });
    return { leftovers: [], kept: [] };
  }
}

/** @returns why it failed; null: it did not. */
async function attempt(remove: Leftover["remove"]): Promise<string | null> {
  try {
    await remove();
    return null;
  } catch (error) {
    if (error instanceof DeadpeerError || (error as NodeJS.ErrnoException).code !== undefined)
      return (error as Error).message;
    throw error;
  }
}
