import { currentNamespace, namespaceAt } from "../kernel/namespaces.js";
import { processIds, processNamespace } from "../kernel/processes.js";

/**
 * Kills every process inside these namespaces, whoever started it: what a program has left behind in the background, a shell that a
 * person has opened. A process keeps its namespace alive, name or no name.
 *
 * @param names as `ip netns` knows them; those that are gone already are passed over.
 */
export function killInhabitants(names: readonly string[]): void {
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
  if (ids.size === 0) return;
  for (const pid of processIds()) {
    try {
      const id = processNamespace(pid);
      if (id !== null && ids.has(id)) process.kill(pid, "SIGKILL");
    } catch {
      // It has ended meanwhile, or may not be looked at: a lab's processes may.
    }
  }
}
