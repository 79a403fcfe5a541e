import {
  closeSync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { DeadpeerError } from "../errors.js";
import { syncDirectory } from "../kernel/sync-directory.js";

/**
 * Writes a whole file so that a reader, a crash or a power cut sees the old text or the new one, never a part: a temporary
 * file beside it, fsync, rename, fsync of the directory (rename(2) alone does not order the data before the name).
 *
 * @throws DeadpeerError `permission-denied` or `syscall-failed`, naming the file.
 */
export function writeDurably(path: string, text: string): void {
  const temporary = `${path}.${process.pid}.tmp`;
  const directory = dirname(path);
  try {
    mkdirSync(directory, { recursive: true, mode: 0o755 });
    // Left by a deadpeer that was killed in mid-write and had our pid.
    rmSync(temporary, { force: true });
    const fd = openSync(temporary, "wx", 0o644);
    try {
      writeFileSync(fd, text);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, path);
    syncDirectory(directory);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw fileError(error, "write", path);
  }
}

/**
 * Appends to a file, which is made where there is none, so that it stays appended. What a full disk left of it is cut off again, or the
 * file removed that it made; a
 * crash in the middle leaves a part of the text, at the end.
 *
 * @throws DeadpeerError `permission-denied` or `syscall-failed`, naming the file.
 */
export function appendDurably(path: string, text: string): void {
  try {
    const fd = openSync(path, "a", 0o644);
    const { size } = fstatSync(fd);
    try {
      writeFileSync(fd, text);
      fdatasyncSync(fd);
    } catch (error) {
      if (size === 0) rmSync(path);
      else ftruncateSync(fd, size);
      throw error;
    } finally {
      closeSync(fd);
    }
    if (size === 0) syncDirectory(dirname(path));
  } catch (error) {
    throw fileError(error, "write", path);
  }
}

/** Removes a file so that it stays removed after a power cut. */
export function removeDurably(path: string): void {
  try {
    rmSync(path);
    syncDirectory(dirname(path));
  } catch (error) {
    throw fileError(error, "remove", path);
  }
}

/** A failed file operation in deadpeer's words. */
export function fileError(error: unknown, operation: string, path: string): unknown {
  const errno = (error as NodeJS.ErrnoException).code;
  if (errno === undefined) return error;
  if (errno === "EACCES" || errno === "EPERM")
    return new DeadpeerError("permission-denied", `cannot ${operation} ${path}: this needs root`, {
      operation,
      errno,
      cause: error,
    });
  const reason = errno === "EROFS" ? "the file system is read-only" : (error as Error).message;
  return new DeadpeerError("syscall-failed", `cannot ${operation} ${path}: ${reason}`, {
    operation,
    errno,
    cause: error,
  });
}
