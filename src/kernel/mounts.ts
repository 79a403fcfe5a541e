import { readFileSync } from "node:fs";

/** A place at which a file system is mounted. */
export interface Mount {
  readonly path: string;
  /** The folder of the file system that is seen there: `/` where it is mounted whole. */
  readonly root: string;
}

/**
 * Where file systems of a kind are mounted for this process.
 *
 * @param mountinfo proc_pid_mountinfo(5): `35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw`.
 * @example mountsOf("cgroup2")[0]?.path // "/sys/fs/cgroup"
 */
export function mountsOf(kind: string, mountinfo = readFileSync("/proc/self/mountinfo", "utf8")): Mount[] {
  const mounts: Mount[] = [];
  for (const line of mountinfo.split("\n")) {
    const [place = "", what = ""] = line.split(" - ", 2);
    if (!what.startsWith(`${kind} `)) continue;
    const [, , , root = "", path = ""] = place.split(" ");
    mounts.push({ path: unescapeMount(path), root: unescapeMount(root) });
  }
  return mounts;
}

/** Spaces, tabs, newlines and backslashes stand in mountinfo as octal numbers. */
function unescapeMount(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
