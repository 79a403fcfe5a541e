import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { DeadpeerError } from "../errors.js";

/**
 * Where the cgroup v2 tree is mounted, e.g. `/sys/fs/cgroup`, or `/sys/fs/cgroup/unified` beside version 1.
 *
 * @throws DeadpeerError `feature-missing` if it is not mounted.
 */
export function cgroupMount(): string {
  // proc_pid_mountinfo(5): 35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw
  for (const line of readFileSync("/proc/self/mountinfo", "utf8").split("\n")) {
    const [place = "", kind = ""] = line.split(" - ", 2);
    if (!kind.startsWith("cgroup2 ")) continue;
    return unescapeMount(place.split(" ")[4] ?? "");
  }
  throw new DeadpeerError(
    "feature-missing",
    "no cgroup v2 tree is mounted here (Linux 4.5 and later have it)",
  );
}

/** Spaces, tabs, newlines and backslashes stand in mountinfo as octal numbers. */
function unescapeMount(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
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
  const mount = cgroupMount();
  const directory = path === mount || path.startsWith(`${mount}/`) ? path : join(mount, path);
  const ids = new Set<bigint>();
  try {
    ids.add(statSync(directory, { bigint: true }).ino);
  } catch (cause) {
    throw new DeadpeerError("bad-filter", `there is no cgroup ${path} below ${mount}`, { cause });
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
