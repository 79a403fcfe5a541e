import { isOrphaned, ownershipOf } from "../../kernel/owned-names.js";

/** Systemd's units say what they are. */
const scopeEnding = ".scope";

/** Whether a cgroup of this name is that of a `run`. */
export function isRun(name: string): boolean {
  return ownershipOf(bare(name))?.kind === "run";
}

/** The same, and its maker has ended: its keeper, or for a scope the program itself. */
export function isOrphanedRun(name: string): boolean {
  return isOrphaned(bare(name), "run");
}

function bare(name: string): string {
  return name.endsWith(scopeEnding) ? name.slice(0, -scopeEnding.length) : name;
}
