import { existsSync } from "node:fs";
import { plainPlace } from "./plain-place.js";
import { systemdPlace } from "./systemd-place.js";

/** A cgroup for one program, which is not in it yet. */
export interface Place {
  readonly directory: string;
  /** To be called once the program is inside. */
  occupied(): Promise<void>;
  /** To be called if it never will be: removes the cgroup. */
  abandon(): Promise<void>;
}

/** sd_booted(3): where systemd manages this machine, and with it the cgroups. */
const systemdMark = "/run/systemd/system";

/**
 * Makes the cgroup for a program: a scope of systemd's where it is the manager and would otherwise not know of it, else a plain
 * one.
 *
 * @param program its name, for systemd's lists.
 * @param tell takes what a person should know of how it came about.
 * @throws DeadpeerError `permission-denied`, `feature-missing`, `tool-missing`.
 */
export async function makePlace(program: string, tell: (note: string) => void): Promise<Place> {
  if (!existsSync(systemdMark)) return plainPlace();
  try {
    return await systemdPlace(program);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    tell(`the cgroup is made without systemd: ${reason}`);
    return plainPlace();
  }
}
