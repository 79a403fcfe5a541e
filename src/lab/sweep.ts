import { readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isOrphaned, ownershipOf } from "../kernel/owned-names.js";
import { inhabitantsOf, killInhabitants } from "./inhabitants.js";
import { ip } from "./tools.js";

const namedNamespaces = "/run/netns";

/** What labs left whose process was killed or crashed. Labs of living processes are none of it. */
export interface LeftLabs {
  /** As `ip netns` knows them. */
  readonly namespaces: readonly string[];
  /** Processes still inside, whoever started them. */
  readonly inhabitants: readonly number[];
  /** Whole paths. */
  readonly folders: readonly string[];
}

/** @example leftLabs().namespaces // ["dp-lab-4711-88231-4026531836-1-client"] */
export function leftLabs(): LeftLabs {
  const namespaces = entries(namedNamespaces).filter(isOrphanedLab);
  return {
    namespaces,
    inhabitants: inhabitantsOf(namespaces),
    folders: entries(tmpdir())
      .filter(isOrphanedLab)
      .map((folder) => join(tmpdir(), folder)),
  };
}

/** The network namespaces of labs whose process lives. */
export function livingLabs(): string[] {
  return entries(namedNamespaces).filter((name) => {
    const ownership = ownershipOf(name);
    return ownership?.kind === "lab" && ownership.owner !== "ended";
  });
}

/**
 * Removes what leftLabs finds.
 *
 * @returns the names of the namespaces that are gone now.
 */
export async function sweep(): Promise<readonly string[]> {
  const { namespaces, folders } = leftLabs();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  killInhabitants(namespaces);
  for (const name of namespaces) await deleteNamespace(name);
  return namespaces;
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
