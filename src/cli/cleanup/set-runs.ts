import { earlierBoots } from "../../host/repair/run.js";
import { runsFolder } from "../../host/repair/folder.js";
import { repairRuns, undoRepair } from "../../host/repair/undo.js";
import { removeDurably } from "../../host/durable-file.js";
import { cutEnd } from "../output.js";
import type { Kept, Leftover, Search } from "./trace.js";

/** A label is the command as it was typed, and may name many processes. */
const labelWidth = 60;

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
          name: `run ${id} (${cutEnd(label, labelWidth)})`,
          why: "all its connections have ended",
          remove: () => forget(id, folder),
        });
      else
        kept.push({
          what: "run of set",
          name: `${id} (${cutEnd(label, labelWidth)})`,
          why: `at ${at.slice(0, 19)}Z; its connections live`,
          undo: `deadpeer set --undo ${id}`,
        });
    }
    return { leftovers, kept };
  },
};

/** To undo what has ended is to forget it. */
async function forget(id: string, folder: string): Promise<void> {
  // Somebody else may have undone it meanwhile.
  if (repairRuns(folder).some((run) => run.id === id)) await undoRepair({ run: id });
}
