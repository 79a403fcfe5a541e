import { lstatSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { DeadpeerError } from "../../errors.js";
import { FileLock } from "../../kernel/file-lock.js";
import { fileError } from "../durable-file.js";

/**
 * Where what was changed on live sockets is kept. It dies with the boot, as the sockets do. Root's is for the whole machine; other
 * users, who may change sockets of their own processes, have one each.
 */
export function runsFolder(): string {
  const uid = process.geteuid?.() ?? 0;
  if (uid === 0) return "/run/deadpeer/set";
  const ownRuntime = process.env["XDG_RUNTIME_DIR"] ?? "";
  return ownRuntime === "" ? join(tmpdir(), `deadpeer-${uid}`, "set") : join(ownRuntime, "deadpeer", "set");
}

/**
 * Makes the folder. Its parent may stand where everybody can write: one that another user has put there is refused, because what it
 * holds is written to sockets.
 *
 * @throws DeadpeerError `file-conflict`, `permission-denied`, `syscall-failed`.
 */
export function makeRunsFolder(folder: string): void {
  for (const path of [dirname(folder), folder]) {
    try {
      mkdirSync(path, { recursive: path !== folder, mode: 0o755 });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw fileError(error, "make", path);
    }
    const status = lstatSync(path);
    if (!status.isDirectory() || status.uid !== (process.geteuid?.() ?? 0))
      throw new DeadpeerError("file-conflict", `${path} is no folder of this user's; move it away first`);
  }
}

/** Often enough that nobody notices, seldom enough that it costs nothing. */
const retryMs = 50;

/**
 * Waits until no other deadpeer changes sockets.
 *
 * @param onWait called once if there is one.
 * @throws DeadpeerError `aborted`; as makeRunsFolder.
 */
export async function lockRuns(folder: string, signal?: AbortSignal, onWait?: () => void): Promise<FileLock> {
  makeRunsFolder(folder);
  for (let waited = false; ; waited = true) {
    if (signal?.aborted === true) throw new DeadpeerError("aborted", "interrupted: nothing was changed");
    const lock = FileLock.tryTake(join(folder, "lock"));
    if (lock !== null) return lock;
    if (!waited) onWait?.();
    await sleep(retryMs, undefined, signal === undefined ? {} : { signal }).catch(() => {});
  }
}
