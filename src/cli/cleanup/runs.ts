import { basename } from "node:path";
import { livingRuns, sweepRuns } from "../../host/run/sweep.js";
import { shellWord } from "../../host/shell-word.js";
import { processesIn, removeCgroup } from "../../kernel/cgroup-changes.js";
import type { Kept, Search } from "./trace.js";

/** Up to so many processes are named one by one. */
const namedAtMost = 4;

/** Cgroups of runs, and with each its policy. */
export const runs: Search = {
  subject: "cgroups of runs",
  look() {
    const left = sweepRuns({ dryRun: true });
    return {
      leftovers: left
        .filter(({ inUse }) => !inUse)
        .map(({ directory }) => ({
          what: "cgroup",
          name: directory,
          why: "the program that was run in it has ended",
          remove: () => void removeCgroup(directory),
        })),
      kept: [
        ...left
          .filter(({ inUse }) => inUse)
          .map(({ directory }) =>
            kept(directory, "its program runs on; who would have removed it was killed"),
          ),
        ...livingRuns().map((directory) => kept(directory, "its program runs")),
      ],
    };
  },
};

function kept(directory: string, why: string): Kept {
  const pids = processesIn(directory)?.filter((pid) => pid > 0) ?? [];
  return {
    what: "cgroup of a run",
    name: basename(directory),
    why,
    undo:
      pids.length === 0
        ? null
        : pids.length <= namedAtMost
          ? `kill ${pids.join(" ")}`
          : `kill $(cat ${shellWord(`${directory}/cgroup.procs`)})`,
  };
}
