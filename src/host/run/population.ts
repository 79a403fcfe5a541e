import { once } from "node:events";
import { type FSWatcher, watch } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { isPopulated, populationFile } from "../../kernel/cgroup-changes.js";

/** How often to look where the kernel cannot tell. */
const lookEveryMs = 2_000;

/** Waits until no process is in a cgroup nor in any below it. The kernel tells; nothing wakes up in between. */
export async function untilEmpty(directory: string): Promise<void> {
  while (isPopulated(directory) === true) await nextChange(directory);
}

async function nextChange(directory: string): Promise<void> {
  let watcher: FSWatcher;
  try {
    watcher = watch(populationFile(directory));
  } catch {
    // It has gone, or the user's inotify instances are used up (fs.inotify.max_user_instances).
    await setTimeout(lookEveryMs);
    return;
  }
  try {
    const changed = once(watcher, "change");
    // It may have become empty before the watch began.
    if (isPopulated(directory) === true) await changed;
  } finally {
    watcher.close();
  }
}
