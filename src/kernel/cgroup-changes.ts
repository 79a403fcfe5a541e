import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { DeadpeerError } from "../errors.js";
import { cgroupMount } from "./cgroups.js";
import { processCgroup } from "./processes.js";

/**
 * The directory of the cgroup that this process is in; null where the tree is mounted without it: in a cgroup namespace that was
 * entered from outside, or where only another part of the tree is mounted.
 *
 * @throws DeadpeerError `feature-missing` without cgroup v2.
 * @example ownCgroup() // "/sys/fs/cgroup/system.slice/ssh.service"
 */
export function ownCgroup(): string | null {
  const directory = resolve(cgroupMount(), `.${processCgroup(process.pid) ?? "/"}`);
  // Path and mount may count from different roots, so a look tells more than a calculation.
  return processesIn(directory)?.includes(process.pid) === true ? directory : null;
}

/** The processes directly in a cgroup, 0 for one that this PID namespace does not see; null: the cgroup is gone. */
export function processesIn(directory: string): number[] | null {
  return read(directory, "cgroup.procs")?.split("\n").filter(Boolean).map(Number) ?? null;
}

/** Whether a process is in a cgroup or in one below it; null: it is gone, or the root, which does not tell. */
export function isPopulated(directory: string): boolean | null {
  const events = read(directory, "cgroup.events");
  return events === null ? null : /^populated 1$/m.test(events);
}

/** Whether it is the machine's outermost cgroup, which alone has no events (cgroups-v2, "cgroup.events"). */
export function isRootCgroup(directory: string): boolean {
  return !existsSync(populationFile(directory));
}

/** The file that is reported as modified (inotify(7)) when `isPopulated` changes. */
export function populationFile(directory: string): string {
  return join(directory, "cgroup.events");
}

/**
 * Makes a cgroup that processes can join.
 *
 * @returns its directory.
 * @throws DeadpeerError `permission-denied`, also where the tree is mounted read-only; `feature-missing` if cgroups of this
 *   parent hold threads only.
 */
export function makeCgroup(parent: string, name: string): string {
  const directory = join(parent, name);
  change(`making a cgroup below ${parent}`, "mkdir", () => mkdirSync(directory));
  // cgroups(7), "Thread mode": what is made below a threaded cgroup is "domain invalid".
  if (read(directory, "cgroup.type")?.trim() !== "domain invalid") return directory;
  rmdirSync(directory);
  throw new DeadpeerError("feature-missing", `cgroups below ${parent} hold threads only, no processes`);
}

/**
 * Moves this process, with all its threads, into a cgroup.
 *
 * @throws DeadpeerError `permission-denied`, or `syscall-failed` with the kernel's reason.
 */
export function joinCgroup(directory: string): void {
  change(`joining the cgroup ${directory}`, "write", () =>
    writeFileSync(join(directory, "cgroup.procs"), "0"),
  );
}

/**
 * Removes a cgroup and those below it.
 *
 * @returns false if a process is still inside; then it stays. One that is gone already is no error.
 */
export function removeCgroup(directory: string): boolean {
  // Empty ones below belong to the program that is inside as well.
  if (isPopulated(directory) === true) return false;
  for (const one of [...cgroupsBelow(directory)].toReversed()) {
    try {
      rmdirSync(one);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EBUSY") return false;
      if (code !== "ENOENT") throw changeError(error, `removing the cgroup ${one}`, "rmdir");
    }
  }
  return true;
}

/** A cgroup and all below it, each before those in it. What goes away meanwhile is passed over. */
export function* cgroupsBelow(directory: string): Generator<string> {
  yield directory;
  let entries: { name: string; isDirectory(): boolean }[];
  try {
    entries = readdirSync(directory, { withFileTypes: true });
  } catch {
    return;
  }
  for (const entry of entries) if (entry.isDirectory()) yield* cgroupsBelow(join(directory, entry.name));
}

function read(directory: string, file: string): string | null {
  try {
    return readFileSync(join(directory, file), "utf8");
  } catch {
    return null;
  }
}

function change(what: string, operation: string, work: () => void): void {
  try {
    work();
  } catch (error) {
    throw changeError(error, what, operation);
  }
}

function changeError(error: unknown, what: string, operation: string): DeadpeerError {
  const { code: errno = "EIO", message } = error as NodeJS.ErrnoException;
  const options = { operation, errno, cause: error };
  switch (errno) {
    case "EROFS":
      return new DeadpeerError(
        "permission-denied",
        `${what}: the cgroup tree is mounted read-only here, as containers have it; do it on the host`,
        options,
      );
    case "EACCES":
    case "EPERM":
      return new DeadpeerError("permission-denied", `${what} needs root, or a delegated subtree`, options);
    default:
      return new DeadpeerError("syscall-failed", `${what}: ${message}`, options);
  }
}
