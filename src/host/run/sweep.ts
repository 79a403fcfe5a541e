import { basename } from "node:path";
import { DeadpeerError } from "../../errors.js";
import { cgroupsBelow, isPopulated, removeCgroup } from "../../kernel/cgroup-changes.js";
import { cgroupMount } from "../../kernel/cgroups.js";
import { isOrphanedRun, isRun } from "./names.js";

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
  return cgroupsNamed(isOrphanedRun).map((directory) => ({
    directory,
    inUse: dryRun ? isPopulated(directory) === true : !removeCgroup(directory),
  }));
}

/** The cgroups of runs that somebody will remove when their program has ended. */
export function livingRuns(): string[] {
  return cgroupsNamed((name) => isRun(name) && !isOrphanedRun(name));
}

function cgroupsNamed(isMeant: (name: string) => boolean): string[] {
  try {
    return [...cgroupsBelow(cgroupMount())].filter((directory) => isMeant(basename(directory)));
  } catch (error) {
    if (error instanceof DeadpeerError && error.code === "feature-missing") return [];
    throw error;
  }
}
