import { isOrphaned } from "../../kernel/owned-names.js";

/** Systemd's units say what they are. */
const scopeEnding = ".scope";

/** Whether a cgroup of this name is that of a `run` whose maker has ended: its keeper, or for a scope the program itself. */
export function isOrphanedRun(name: string): boolean {
  return isOrphaned(name.endsWith(scopeEnding) ? name.slice(0, -scopeEnding.length) : name, "run");
}
