import { closeSync, openSync, readdirSync, readSync, statSync } from "node:fs";
import { basename, dirname, isAbsolute, join } from "node:path";
import { badConfiguration } from "./config-error.js";

/** A configuration is written by people: what is larger is something else. */
const mostBytes = 4 * 2 ** 20;
const mostFiles = 1_000;

/** @throws DeadpeerError `bad-configuration`: no file, not readable, or too large. */
export function readConfiguration(path: string, place = path): string {
  try {
    const bytes = readAtMost(path, mostBytes + 1);
    if (bytes.length > mostBytes)
      throw badConfiguration(
        place,
        `${path === place ? "" : `${path} `}has more than ${mostBytes} bytes, which no configuration has`,
      );
    // Editors of Windows begin a file with a mark for its byte order.
    return bytes.toString().replace(/^\uFEFF/, "");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "bad-configuration") throw error;
    const reason =
      code === "ENOENT" ? "there is no such file" : code === "EISDIR" ? "it is a folder" : message;
    throw badConfiguration(place, `${path === place ? "" : `${path} `}cannot be read: ${reason}`, error);
  }
}

/** A device or a pipe has no size that could be looked at before. */
function readAtMost(path: string, most: number): Buffer {
  const fd = openSync(path, "r");
  try {
    const pieces: Buffer[] = [];
    for (let left = most; left > 0; ) {
      const piece = Buffer.allocUnsafe(Math.min(left, 65_536));
      const length = readSync(fd, piece);
      if (length === 0) break;
      pieces.push(piece.subarray(0, length));
      left -= length;
    }
    return Buffer.concat(pieces);
  } finally {
    closeSync(fd);
  }
}

/**
 * What nginx's `include` names: one file, or those that fit a pattern with `*` and `?`, which may be none, in the order of their names;
 * relative to the folder of the main file.
 */
export function includedFiles(
  pattern: string,
  mainFile: string,
  place: string,
): { file: string; text: string }[] {
  const path = isAbsolute(pattern) ? pattern : join(dirname(mainFile), pattern);
  const found = /[*?]/.test(path) ? expand(path) : [path];
  if (found.length > mostFiles) throw badConfiguration(place, `includes ${found.length} files`);
  return found.map((one) => ({ file: basename(one), text: readConfiguration(one, place) }));
}

function expand(path: string): string[] {
  let found = [isAbsolute(path) ? "/" : "."];
  for (const part of path.split("/").filter((one) => one !== "")) {
    if (!/[*?]/.test(part)) {
      found = found.map((folder) => join(folder, part));
      continue;
    }
    const fits = new RegExp(
      `^${part
        .replaceAll(/[.+^${}()|[\]\\]/g, "\\$&")
        .replaceAll("*", "[^/]*")
        .replaceAll("?", "[^/]")}$`,
    );
    found = found.flatMap((folder) =>
      names(folder)
        // As the shell's patterns, and nginx's.
        .filter((name) => fits.test(name) && !name.startsWith("."))
        .sort()
        .map((name) => join(folder, name)),
    );
  }
  return found.filter((one) => statSync(one, { throwIfNoEntry: false })?.isFile() === true);
}

function names(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
