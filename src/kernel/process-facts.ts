import { closeSync, openSync, readdirSync, readlinkSync, readSync, statSync } from "node:fs";
import { processIds, readProcFile, readStat } from "./processes.js";

/** One process as /proc shows it. What may not be seen without CAP_SYS_PTRACE over it is null then. */
export interface ProcessFacts {
  readonly pid: number;
  /** As `ps -o comm` shows it. */
  readonly name: string;
  readonly startTicks: number;
  /** 0 for one without. */
  readonly parent: number;
  /** The effective user and groups. */
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
  /** A thread of the kernel's own: no program, no descriptors. */
  readonly isKernelThread: boolean;
  /** As the program left them: some write their state there. */
  readonly arguments: readonly string[];
  readonly executable: Executable | null;
  /** The current folder. */
  readonly folder: string | null;
  /** Where it looks for programs, as its environment said when it started. */
  readonly path: string | null;
}

/** The file that a process runs, as its mount namespace calls it. */
export interface Executable {
  readonly path: string;
  /** It was removed or replaced since the process started, as an update does. */
  readonly deleted: boolean;
}

/** What d_path adds to the name of a file that has none any more. */
const deletedMark = " (deleted)";

/** @returns null if there is no such process, or only what its parent has not taken note of. */
export function processFacts(pid: number): ProcessFacts | null {
  const stat = readStat(pid);
  const status = readProcFile(pid, "status");
  if (stat === null || status === null || stat.state === "Z") return null;
  const link = readLink(`/proc/${pid}/exe`);
  return {
    pid,
    name: stat.name,
    startTicks: stat.startTicks,
    parent: stat.parent,
    uid: Number(/^Uid:\s*\d+\s+(\d+)/m.exec(status)?.[1]),
    gid: Number(/^Gid:\s*\d+\s+(\d+)/m.exec(status)?.[1]),
    groups: (/^Groups:(.*)$/m.exec(status)?.[1] ?? "")
      .split(" ")
      .map((word) => word.trim())
      .filter(Boolean)
      .map(Number),
    isKernelThread: stat.isKernelThread,
    arguments: (readProcFile(pid, "cmdline") ?? "").split("\0").slice(0, -1),
    executable:
      link === null
        ? null
        : link.endsWith(deletedMark)
          ? { path: link.slice(0, -deletedMark.length), deleted: true }
          : { path: link, deleted: false },
    folder: readLink(`/proc/${pid}/cwd`),
    path: /(?:^|\0)PATH=([^\0]*)/.exec(readProcFile(pid, "environ") ?? "")?.[1] ?? null,
  };
}

/** A process's place among the others. */
export interface Kin {
  readonly pid: number;
  readonly name: string;
  readonly parent: number;
}

/** All processes with their parents. */
export function processTree(): Kin[] {
  return processIds().flatMap((pid) => {
    const stat = readStat(pid);
    return stat === null || stat.state === "Z" ? [] : [{ pid, name: stat.name, parent: stat.parent }];
  });
}

/** A process's places in the cgroup trees: the one of version 2, where there is one, and those of version 1 (cgroups(7)). */
export function processCgroupPaths(pid: number): {
  readonly unified: string | null;
  readonly others: readonly string[];
} {
  const lines = (readProcFile(pid, "cgroup") ?? "").split("\n").filter(Boolean);
  const paths = lines.map((line) => ({
    unified: line.startsWith("0::"),
    path: line.split(":").slice(2).join(":"),
  }));
  return {
    unified: paths.find(({ unified }) => unified)?.path ?? null,
    others: paths.filter(({ unified }) => !unified).map(({ path }) => path),
  };
}

/** Whether this process may not see what a process holds; not so where that has ended. */
export function hidesDescriptors(pid: number): boolean {
  try {
    readdirSync(`/proc/${pid}/fd`);
    return false;
  } catch (error) {
    return ["EACCES", "EPERM"].includes((error as NodeJS.ErrnoException).code ?? "");
  }
}

/** Whether a process shares a namespace with this one; null: it may not be seen. */
export function sharesNamespace(pid: number, kind: "mnt" | "net" | "pid" | "user"): boolean | null {
  try {
    return statSync(`/proc/${pid}/ns/${kind}`).ino === statSync(`/proc/thread-self/ns/${kind}`).ino;
  } catch {
    return null;
  }
}

/**
 * Reads from the file that a process runs, also one that was deleted since, or that another mount namespace hides.
 *
 * @returns null if this process may not.
 */
export function withExecutable<T>(
  pid: number,
  work: (read: (offset: number, length: number) => Buffer) => T,
): T | null {
  let fd: number;
  try {
    fd = openSync(`/proc/${pid}/exe`, "r");
  } catch {
    return null;
  }
  try {
    return work((offset, length) => {
      const bytes = Buffer.alloc(length);
      return bytes.subarray(0, readSync(fd, bytes, 0, length, offset));
    });
  } finally {
    closeSync(fd);
  }
}

function readLink(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    return null;
  }
}
