import { currentNamespace, namespaceAt } from "../kernel/namespaces.js";
import { processIds, processNamespace } from "../kernel/processes.js";

/**
 * Every process inside these namespaces, whoever started it: what a program has left behind in the background, a shell that a person
 * has opened.
 *
 * @param names as `ip netns` knows them; those that are gone already are passed over.
 */
export function inhabitantsOf(names: readonly string[]): number[] {
  const ids = new Set<string>();
  for (const name of names) {
    try {
      ids.add(namespaceAt(name).id);
    } catch {
      // A name without a namespace behind it: only the name is left to be deleted.
    }
  }
  // Somebody may be sweeping from a shell that a killed lab had opened.
  ids.delete(currentNamespace().id);
  if (ids.size === 0) return [];
  return processIds().filter((pid) => {
    try {
      const id = processNamespace(pid);
      return id !== null && ids.has(id);
    } catch {
      // It may not be looked at: a lab's processes may.
      return false;
    }
  });
}

/** Kills the inhabitants: a process keeps its namespace alive, name or no name. */
export function killInhabitants(names: readonly string[]): void {
  for (const pid of inhabitantsOf(names)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has ended meanwhile.
    }
  }
}
