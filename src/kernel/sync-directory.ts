import { closeSync, fsyncSync, openSync } from "node:fs";

/** Waits until a directory's entries are on the disk: a file that was made, renamed or removed there survives a power cut (fsync(2)). */
export function syncDirectory(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
