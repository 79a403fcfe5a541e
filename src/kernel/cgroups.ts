import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { DeadpeerError } from "../errors.js";
import { mountsOf } from "./mounts.js";

/**
 * Where the cgroup v2 tree is mounted, e.g. `/sys/fs/cgroup`, or `/sys/fs/cgroup/unified` beside version 1.
 *
 * @throws DeadpeerError `feature-missing` if it is not mounted.
 */
export function cgroupMount(): string {
  const mount = mountsOf("cgroup2")[0];
  if (mount !== undefined) return mount.path;
  throw new DeadpeerError(
    "feature-missing",
    "no cgroup v2 tree is mounted here; Linux 4.5 and later have it: mount -t cgroup2 none /mnt",
  );
}

/**
 * Where a cgroup's directory is, or would be.
 *
 * @param path within the tree or whole.
 * @throws DeadpeerError `feature-missing` without cgroup v2.
 * @example cgroupDirectory("/system.slice") // "/sys/fs/cgroup/system.slice"
 */
export function cgroupDirectory(path: string): string {
  const mount = cgroupMount();
  return path === mount || path.startsWith(`${mount}/`) ? path : join(mount, path);
}

/**
 * The ids of a cgroup and of all below it, to compare with `DiagSocket.cgroupId`: a cgroup's id is its directory's inode number.
 *
 * @param path within the tree (`/system.slice/nginx.service`, as /proc/PID/cgroup shows it) or whole
 *   (`/sys/fs/cgroup/system.slice/nginx.service`).
 * @throws DeadpeerError `bad-filter` if there is no such cgroup, `feature-missing` without cgroup v2.
 * @example cgroupIds("/system.slice").has(socket.cgroupId)
 */
export function cgroupIds(path: string): Set<bigint> {
  const directory = cgroupDirectory(path);
  const ids = new Set<bigint>();
  try {
    ids.add(statSync(directory, { bigint: true }).ino);
  } catch (cause) {
    throw new DeadpeerError("bad-filter", `there is no cgroup ${path} below ${cgroupMount()}`, { cause });
  }
  addBelow(directory, ids);
  return ids;
}

function addBelow(directory: string, ids: Set<bigint>): void {
  let entries: { name: string; isDirectory(): boolean }[];
  try {
    entries = readdirSync(directory, { withFileTypes: true });
    // readdir gives no inode numbers in Node.
    for (const { name } of entries.filter((entry) => entry.isDirectory())) {
      const child = join(directory, name);
      const status = statSync(child, { bigint: true, throwIfNoEntry: false });
      if (status === undefined) continue;
      ids.add(status.ino);
      addBelow(child, ids);
    }
  } catch {
    // Removed meanwhile.
  }
}
