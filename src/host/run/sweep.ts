import { basename } from "node:path";
import { DeadpeerError } from "../../errors.js";
import { cgroupsBelow, isPopulated, removeCgroup } from "../../kernel/cgroup-changes.js";
import { cgroupMount } from "../../kernel/cgroups.js";
import { isOrphanedRun } from "./names.js";

/** The cgroup of a `run` that nobody will remove. */
export interface LeftRun {
  readonly directory: string;
  /** Whether something still runs in it. Then it stays, with its policy: that is what was asked for. */
  readonly inUse: boolean;
}

/**
 * The cgroups of runs whose keeper was killed or crashed; those that are empty are removed, unless it is a dry run. Where there is
 * no cgroup v2 there are none.
 *
 * @throws DeadpeerError `permission-denied`.
 */
export function sweepRuns({ dryRun = false }: { readonly dryRun?: boolean } = {}): LeftRun[] {
  return orphans().map((directory) => ({
    directory,
    inUse: dryRun ? isPopulated(directory) === true : !removeCgroup(directory),
  }));
}

function orphans(): string[] {
  try {
    return [...cgroupsBelow(cgroupMount())].filter((directory) => isOrphanedRun(basename(directory)));
  } catch (error) {
    if (error instanceof DeadpeerError && error.code === "feature-missing") return [];
    throw error;
  }
}
