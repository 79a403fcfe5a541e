import { type DeadRun, deadRuns, forgetDeadRuns } from "../../host/repair/run.js";
import { lockRuns, runsFolder } from "../../host/repair/folder.js";
import { repairRuns, undoRepair } from "../../host/repair/undo.js";
import { cutEnd } from "../output.js";
import type { Kept, Leftover, Search } from "./trace.js";

/** A label is the command as it was typed, and may name many processes. */
const labelWidth = 60;

/** What `set` has written down, so that it can be undone. */
export const setRuns: Search = {
  subject: "the journal of set",
  async look() {
    const folder = runsFolder();
    const leftovers: Leftover[] = deadRuns(folder).map(({ path, why }) => ({
      what: "journal of set",
      name: path,
      why: whyDead[why],
      remove: () => forgetDead(folder),
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

const whyDead: Readonly<Record<DeadRun["why"], string>> = {
  "earlier-boot": "the machine was started anew since",
  unwritten: "nothing was written to it, and nothing changed",
};

/** All at once, and what a living `set` has just begun to write is not among them by then. */
async function forgetDead(folder: string): Promise<void> {
  using _ = await lockRuns(folder);
  forgetDeadRuns(folder);
}

/** To undo what has ended is to forget it. */
async function forget(id: string, folder: string): Promise<void> {
  // Somebody else may have undone it meanwhile.
  if (repairRuns(folder).some((run) => run.id === id)) await undoRepair({ run: id });
}
