import { makeCgroup, ownCgroup, removeCgroup } from "../../kernel/cgroup-changes.js";
import { cgroupMount } from "../../kernel/cgroups.js";
import { startKeeper } from "./keeping.js";
import type { Place } from "./place.js";
import { sweepRuns } from "./sweep.js";

/**
 * A cgroup that a keeper removes. It lies below our own, so that the limits which hold for us hold for the program as well; where
 * that cannot be, at the root.
 *
 * @throws DeadpeerError `permission-denied`, `feature-missing`, `tool-missing`.
 */
export async function plainPlace(): Promise<Place> {
  // What an earlier one left whose keeper was killed.
  sweepRuns();
  const own = ownCgroup();
  const root = cgroupMount();
  const keeper = await startKeeper();
  const directory = makeBelow(new Set(own === null ? [root] : [own, root]), keeper.name);
  try {
    await keeper.keep(directory);
  } catch (error) {
    removeCgroup(directory);
    throw error;
  }
  return { directory, occupied: async () => {}, abandon: async () => void removeCgroup(directory) };
}

function makeBelow(parents: Iterable<string>, name: string): string {
  let problem: unknown;
  for (const parent of parents) {
    try {
      return makeCgroup(parent, name);
    } catch (error) {
      problem ??= error;
    }
  }
  throw problem;
}
