import { readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isOrphaned } from "../kernel/owned-names.js";
import { killInhabitants } from "./inhabitants.js";
import { ip } from "./tools.js";

const namedNamespaces = "/run/netns";

/**
 * Removes what labs left whose process was killed or crashed: their namespaces, the processes still inside, their folders. Labs
 * of living processes are not touched.
 *
 * @returns the names of the namespaces that are gone now.
 */
export async function sweep(): Promise<string[]> {
  for (const folder of entries(tmpdir()).filter(isOrphanedLab))
    rmSync(join(tmpdir(), folder), { recursive: true, force: true });
  const orphaned = entries(namedNamespaces).filter(isOrphanedLab);
  if (orphaned.length === 0) return orphaned;
  killInhabitants(orphaned);
  for (const name of orphaned) await deleteNamespace(name);
  return orphaned;
}

/** Deletes a namespace by name; another sweep may have been quicker. */
async function deleteNamespace(name: string): Promise<void> {
  try {
    await ip([`netns delete ${name}`]);
  } catch (error) {
    if (entries(namedNamespaces).includes(name)) throw error;
  }
}

function isOrphanedLab(name: string): boolean {
  return isOrphaned(name, "lab");
}

function entries(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
