import { readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { runsFolder } from "../../host/repair/folder.js";
import { dropInPath } from "../../host/sysctl/drop-in.js";
import { journalPath } from "../../host/sysctl/journal.js";
import { isOrphaned } from "../../kernel/owned-names.js";
import { processStartTicks } from "../../kernel/processes.js";
import type { Leftover, Search } from "./trace.js";

/** Temporary files and folders of which the writer was killed. */
export const files: Search = {
  subject: "temporary files",
  look: () => ({
    leftovers: [
      ...entries(tmpdir())
        .filter((name) => isOrphaned(name, "explain"))
        .map((name) => leftover(join(tmpdir(), name))),
      ...unfinished(dirname(journalPath), (name) => name === basename(journalPath)),
      ...unfinished(dirname(dropInPath), (name) => name === basename(dropInPath)),
      ...unfinished(runsFolder(), (name) => name.endsWith(".jsonl")),
    ],
    kept: [],
  }),
};

/** What writeDurably calls a file until it is whole. */
const temporary = /^(.+)\.(\d+)\.tmp$/;

function unfinished(folder: string, isMeant: (name: string) => boolean): Leftover[] {
  return entries(folder)
    .filter((name) => {
      const [, whole = "", pid = ""] = temporary.exec(name) ?? [];
      return isMeant(whole) && processStartTicks(Number(pid)) === null;
    })
    .map((name) => leftover(join(folder, name)));
}

function leftover(name: string): Leftover {
  return {
    what: "temporary file",
    name,
    why: "who wrote it has ended",
    remove: () => rmSync(name, { recursive: true, force: true }),
  };
}

function entries(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
