import { DeadpeerError } from "../../errors.js";
import { isOrphaned, ownershipOf } from "../../kernel/owned-names.js";
import { Tracefs } from "../../kernel/trace/tracefs.js";
import { removeInstance } from "../../kernel/trace/trace-instance.js";
import { instanceKind } from "./trace-source.js";

/**
 * The trace instances of watches whose process was killed. Their buffers are gone already; what is left is a name, and events that
 * are written nowhere.
 *
 * @throws DeadpeerError `permission-denied`, `feature-missing`, … where there are no trace events to look at, and so no instances.
 */
export function orphanedWatches(): string[] {
  using tracefs = Tracefs.open();
  return orphans(tracefs);
}

/** The trace instances of watches whose process lives, or may live. */
export function livingWatches(): string[] {
  using tracefs = Tracefs.open();
  return tracefs.instances().filter((name) => {
    const ownership = ownershipOf(name);
    return ownership?.kind === instanceKind && ownership.owner !== "ended";
  });
}

/**
 * Removes what orphanedWatches finds. Those of living processes, ours or others', are not touched. Without trace events there is
 * nothing to be removed, and nothing is thrown.
 *
 * @returns the names of those that are gone now.
 * @example sweepWatches() // ["dp-watch-4711-88231-4026531836-1"]
 */
export function sweepWatches(): string[] {
  try {
    using tracefs = Tracefs.open();
    return orphans(tracefs).filter((name) => removeInstance(`${tracefs.path}/instances/${name}`));
  } catch (error) {
    if (error instanceof DeadpeerError) return [];
    throw error;
  }
}

function orphans(tracefs: Tracefs): string[] {
  return tracefs.instances().filter((name) => isOrphaned(name, instanceKind));
}
