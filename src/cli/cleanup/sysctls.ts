import { dropInPath, readDropIn } from "../../host/sysctl/drop-in.js";
import { journalPath, readJournal, writeJournal } from "../../host/sysctl/journal.js";
import { planUndo } from "../../host/sysctl/undo.js";
import { counted } from "../counted.js";
import type { Kept, Leftover, Search } from "./trace.js";

/** What `sysctl set` and `sysctl persist` have changed. */
export const sysctls: Search = {
  subject: "sysctls",
  look: () => {
    // Without a journal no namespace needs to be looked at.
    const entries = readJournal();
    const gone = entries.length === 0 ? [] : planUndo(null).gone;
    const leftovers: Leftover[] = gone.map((entry) => ({
      what: "journal of sysctl",
      name: `${entry.name} of the network namespace ${entry.namespacePath}`,
      why: "that namespace is gone",
      remove: () => writeJournal(readJournal().filter((one) => !isSame(one, entry))),
    }));
    const kept: Kept[] = [];
    const left = entries.length - gone.length;
    if (left > 0)
      kept.push({
        what: "sysctls",
        name: `${counted(left, "value")} in ${journalPath}`,
        why: "set by deadpeer since the machine was started",
        undo: "deadpeer sysctl set --undo",
      });
    if (readDropIn() !== null)
      kept.push({
        what: "file",
        name: dropInPath,
        why: "sysctls for every start of the machine",
        undo: "deadpeer sysctl unpersist",
      });
    return { leftovers, kept };
  },
};

type Entry = ReturnType<typeof readJournal>[number];

function isSame(one: Entry, other: Entry): boolean {
  return one.namespaceId === other.namespaceId && one.name === other.name;
}
