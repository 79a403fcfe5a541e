import { closeSync, constants, openSync, readdirSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { DeadpeerError } from "../../errors.js";
import { cgroupDirectory, cgroupMount } from "../../kernel/cgroups.js";

/** A cgroup that is held open; its descriptor keeps standing for it, also when another takes its name. */
export interface OpenCgroup {
  readonly fd: number;
  /** Within the tree, e.g. `/system.slice/nginx.service`. */
  readonly path: string;
}

/**
 * Opens a cgroup for as long as some work takes.
 *
 * @param path within the tree or whole.
 * @throws DeadpeerError `no-cgroup`, `permission-denied`, `feature-missing` without cgroup v2.
 */
export function withCgroup<T>(path: string, work: (cgroup: OpenCgroup) => T): T {
  const directory = cgroupDirectory(path);
  const place = relative(cgroupMount(), directory);
  if (place.startsWith("..")) throw noCgroup(path);
  let fd: number;
  try {
    fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "EACCES" || code === "EPERM")
      throw new DeadpeerError("permission-denied", `the cgroup ${path} may not be opened; run as root`, {
        operation: "open",
        errno: code,
        cause,
      });
    throw noCgroup(path, cause);
  }
  try {
    return work({ fd, path: `/${place}` });
  } finally {
    closeSync(fd);
  }
}

export function noCgroup(path: string, cause?: unknown): DeadpeerError {
  return new DeadpeerError(
    "no-cgroup",
    `there is no cgroup ${path} below ${cgroupMount()}, or it has just been removed`,
    cause === undefined ? {} : { cause },
  );
}

/** The cgroups around one, from the next one outwards to the root, by their paths. */
export function cgroupsAround(path: string): string[] {
  const around: string[] = [];
  for (let at = path; at !== "/"; ) around.push((at = dirname(at)));
  return around;
}

/** Every cgroup of the tree that this process can see, by its path, outer ones first. */
export function allCgroups(): string[] {
  const found = ["/"];
  const mount = cgroupMount();
  // Grows while it is walked.
  for (const path of found) {
    try {
      for (const entry of readdirSync(join(mount, path), { withFileTypes: true }))
        if (entry.isDirectory()) found.push(join(path, entry.name));
    } catch {
      // Removed meanwhile, or not ours to read.
    }
  }
  return found;
}
