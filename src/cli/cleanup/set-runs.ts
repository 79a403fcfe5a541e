import { earlierBoots } from "../../host/repair/run.js";
import { runsFolder } from "../../host/repair/folder.js";
import { repairRuns, undoRepair } from "../../host/repair/undo.js";
import { removeDurably } from "../../host/durable-file.js";
import type { Kept, Leftover, Search } from "./trace.js";

/** What `set` has written down, so that it can be undone. */
export const setRuns: Search = {
  subject: "the journal of set",
  async look() {
    const folder = runsFolder();
    const leftovers: Leftover[] = earlierBoots(folder).map((name) => ({
      what: "journal of set",
      name,
      why: "the machine was started anew since",
      remove: () => removeDurably(name),
    }));
    const kept: Kept[] = [];
    for (const { id, label, at } of repairRuns(folder)) {
      const sockets = (await undoRepair({ run: id, dryRun: true }))?.sockets ?? [];
      if (sockets.every(({ outcome }) => outcome === "gone"))
        leftovers.push({
          what: "journal of set",
          name: `run ${id} (${label})`,
          why: "all its connections have ended",
          // Forgets what has ended.
          remove: async () => void (await undoRepair({ run: id })),
        });
      else
        kept.push({
          what: "run of set",
          name: `${id} (${label})`,
          why: `at ${at.slice(0, 19)}Z; its connections live`,
          undo: `deadpeer set --undo ${id}`,
        });
    }
    return { leftovers, kept };
  },
};
