import {
  closeSync,
  createReadStream,
  createWriteStream,
  fstatSync,
  mkdtempSync,
  openSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { finished } from "node:stream/promises";
import { filePieces } from "../../capture/index.js";
import { DeadpeerError } from "../../errors.js";

/** Pieces in which a file is read. */
const chunkBytes = 1 << 20;

/** Where a capture comes from. */
export interface Source {
  /** For people. */
  readonly name: string;
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Where the same bytes can be read again once they were read; null: nowhere. */
  readonly path: string | null;
}

/**
 * @param file a path, or `-` for stdin.
 * @throws DeadpeerError `bad-capture`, `permission-denied`: it cannot be opened.
 */
export function openSource(file: string): Source {
  if (file === "-") return { name: "stdin", chunks: process.stdin, path: null };
  let fd: number | null = null;
  try {
    fd = openSync(file, "r");
    const stat = fstatSync(fd);
    if (stat.isDirectory()) throw new DeadpeerError("bad-capture", `${file} is a folder, not a capture`);
    const chunks = stat.isFile() ? filePieces(fd) : createReadStream("", { fd, highWaterMark: chunkBytes });
    return { name: file, chunks, path: stat.isFile() ? file : null };
  } catch (error) {
    if (fd !== null) closeSync(fd);
    throw error instanceof DeadpeerError ? error : unreadable(file, error as NodeJS.ErrnoException);
  }
}

function unreadable(file: string, error: NodeJS.ErrnoException): DeadpeerError {
  const options = { operation: `open(${file})`, ...(error.code === undefined ? {} : { errno: error.code }) };
  if (error.code === "EACCES")
    return new DeadpeerError("permission-denied", `no permission to read ${file}`, options);
  const reason = error.code === "ENOENT" ? "there is no such file" : error.message;
  return new DeadpeerError("bad-capture", `${file} cannot be read: ${reason}`, options);
}

/** The bytes of a capture for a second reading. */
export function readAgain(path: string): AsyncIterable<Uint8Array> {
  return createReadStream(path, { highWaterMark: chunkBytes });
}

/**
 * A source that writes what passes through to a file, which must not exist.
 *
 * @throws DeadpeerError `file-conflict` if it does; `bad-option` if it cannot be made.
 */
export function keeping(source: Source, path: string): Source {
  const fd = openNew(path);
  return { name: source.name, chunks: copied(source.chunks, fd), path };
}

async function* copied(chunks: AsyncIterable<Uint8Array>, fd: number): AsyncGenerator<Uint8Array> {
  const copy = createWriteStream("", { fd });
  const done = finished(copy);
  // Reported by the await below, however early it fails.
  done.catch(() => {});
  try {
    for await (const chunk of chunks) {
      copy.write(chunk);
      yield chunk;
    }
  } finally {
    copy.end();
    await done;
  }
}

function openNew(path: string): number {
  try {
    return openSync(path, "wx");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "EEXIST")
      throw new DeadpeerError("file-conflict", `${path} exists already; move it away or name another file`);
    throw new DeadpeerError("bad-option", `${path} cannot be written: ${message}`, { cause: error });
  }
}

/** Runs work with a source that can be read a second time: what cannot, goes by way of a temporary file. */
export async function withRereadable<T>(
  source: Source,
  work: (source: Source & { path: string }) => Promise<T>,
): Promise<T> {
  if (source.path !== null) return work({ ...source, path: source.path });
  const { newOwnedName } = await import("../../kernel/owned-names.js");
  // Named for `cleanup`, which finds it if we are killed.
  const folder = mkdtempSync(join(tmpdir(), `${newOwnedName("explain")}-`));
  try {
    const path = join(folder, "capture");
    return await work({ ...keeping(source, path), path });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
