import {
  closeSync,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { DeadpeerError } from "../../errors.js";
import { FileLock } from "../../kernel/file-lock.js";
import { libcProblem } from "../../kernel/libc.js";
import { syncDirectory } from "../../kernel/sync-directory.js";
import type { KeptSession, SessionJournal, SessionStore } from "./journal.js";

/** What lines can say: of the server, or of a session `s`. */
type Line =
  | { readonly secret: string }
  | { readonly s: string; readonly as: string }
  /** Everything there is of a session, when the file is written anew. */
  | {
      readonly s: string;
      readonly name: string;
      readonly in: number;
      readonly acked: number;
      readonly queue: readonly string[];
    }
  | { readonly s: string; readonly out: string }
  | { readonly s: string; readonly drop: number }
  | { readonly s: string; readonly acked: number }
  | { readonly s: string; readonly in: number }
  | { readonly s: string; readonly end: true };

interface Mutable {
  name: string;
  received: number;
  acknowledged: number;
  queue: string[];
}

/** Before so many lines the file is not worth writing anew. */
const fewLines = 10_000;

export interface SessionFileOptions {
  /**
   * true: each line is on the disk before the call returns (fdatasync), so that a loss of power loses nothing either; each message then
   * waits for the disk. Default: false.
   */
  readonly sync?: boolean;
  /** Told in one line about a file that makes no sense. Default: a warning of the process. */
  readonly onProblem?: (problem: string) => void;
}

/**
 * Sessions in a file, one line of JSON for each thing that happens, written before the call that caused it returns. That survives the
 * end of a process, however sudden; what the system had not yet written to disk does not survive a loss of power, unless `sync` says so.
 * The file is written anew when most of it is past. One process at a time has it, by a lock on `<path>.lock` that ends with the process;
 * without koffi nothing can be locked, and whoever starts the processes has to see to it.
 *
 * @example new LongConnection({ to: "tls://hub.example:7443", store: new SessionFile("/var/lib/app/hub.session") })
 */
export class SessionFile implements SessionStore {
  readonly path: string;
  readonly #sync: boolean;
  readonly #onProblem: (problem: string) => void;
  readonly #sessions = new Map<string, Mutable>();
  #secret: string | null = null;
  #lock: FileLock | null = null;
  #fd: number | null = null;
  #bytes = 0;
  #lines = 0;
  /** From so many lines on the file is written anew. */
  #worthLines = fewLines;

  constructor(path: string, { sync = false, onProblem = warn }: SessionFileOptions = {}) {
    this.path = path;
    this.#sync = sync;
    this.#onProblem = onProblem;
  }

  /** @throws DeadpeerError `file-in-use`; `syscall-failed` for a file that cannot be read or written. */
  load(): { secret: Uint8Array | null; sessions: KeptSession[] } {
    this.#take();
    try {
      this.#read();
      this.#writeAnew();
    } catch (error) {
      this.close();
      throw error;
    }
    return {
      secret: this.#secret === null ? null : Buffer.from(this.#secret, "base64"),
      sessions: [...this.#sessions].map(([id, { name, received, acknowledged, queue }]) => ({
        id,
        name: Buffer.from(name, "base64"),
        received,
        acknowledged,
        queue: queue.map((payload) => Buffer.from(payload, "base64")),
      })),
    };
  }

  keepSecret(secret: Uint8Array): void {
    this.#happened({ secret: base64(secret) });
  }

  journal(id: string): SessionJournal {
    if (!this.#sessions.has(id)) this.#happened({ s: id, as: "" });
    return {
      named: (name) => this.#happened({ s: id, as: base64(name) }),
      pushed: (payload) => this.#happened({ s: id, out: base64(payload) }),
      dropped: (sequence) => this.#happened({ s: id, drop: sequence }),
      acknowledged: (sequence) => this.#happened({ s: id, acked: sequence }),
      received: (sequence) => this.#happened({ s: id, in: sequence }),
      ended: () => this.#happened({ s: id, end: true }),
    };
  }

  close(): void {
    this.#closeFile();
    this.#lock?.[Symbol.dispose]();
    this.#lock = null;
  }

  #take(): void {
    if (this.#lock !== null) return;
    try {
      mkdirSync(dirname(this.path), { recursive: true });
      if (libcProblem() !== null) return;
      this.#lock = FileLock.tryTake(`${this.path}.lock`);
    } catch (error) {
      throw error instanceof DeadpeerError ? error : fileError(error, "write", this.path);
    }
    if (this.#lock === null)
      throw new DeadpeerError(
        "file-in-use",
        `${this.path} is in use, by another process or by this one; close the other first, or give each its own file`,
      );
  }

  #closeFile(): void {
    if (this.#fd !== null) closeSync(this.#fd);
    this.#fd = null;
  }

  #happened(line: Line): void {
    if (this.#fd === null) return;
    this.#append(this.#fd, line);
    this.#apply(line);
    if (this.#lines > this.#worthLines) this.#writeAnew();
  }

  #queued(): number {
    let queued = 0;
    for (const { queue } of this.#sessions.values()) queued += queue.length;
    return queued;
  }

  #append(fd: number, line: Line): void {
    try {
      const length = writeLines(fd, this.#bytes, [line]);
      if (this.#sync) fdatasyncSync(fd);
      this.#bytes += length;
      this.#lines++;
    } catch (error) {
      // On a full disk half a line may be there, and the next one must not be joined to it.
      try {
        ftruncateSync(fd, this.#bytes);
      } catch {
        // The first error says more.
      }
      throw fileError(error, "write", this.path);
    }
  }

  #writeAnew(): void {
    const draft = `${this.path}.new`;
    let fd: number | null = null;
    try {
      fd = openSync(draft, "w", 0o600);
      this.#bytes = writeLines(fd, 0, this.#everything());
      // A name may reach the disk before what it names: after a loss of power the file would be empty.
      fsyncSync(fd);
      renameSync(draft, this.path);
      if (this.#sync) syncDirectory(dirname(this.path));
    } catch (error) {
      if (fd !== null) closeSync(fd);
      throw fileError(error, "write", this.path);
    }
    this.#closeFile();
    this.#fd = fd;
    this.#lines = 0;
    this.#worthLines = Math.max(fewLines, 4 * (this.#sessions.size + this.#queued()));
  }

  #everything(): Line[] {
    return [
      ...(this.#secret === null ? [] : [{ secret: this.#secret }]),
      ...Array.from(this.#sessions, ([s, { name, received, acknowledged, queue }]) => ({
        s,
        name,
        in: received,
        acked: acknowledged,
        queue,
      })),
    ];
  }

  #read(): void {
    let text: string;
    try {
      text = readFileSync(this.path, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
      throw fileError(error, "read", this.path);
    }
    const lines = text.split("\n");
    // What stands behind the last line's end was being written when the process ended; whoever gave it was not yet told that it was.
    lines.pop();
    try {
      for (const line of lines) this.#apply(checked(JSON.parse(line)));
    } catch {
      this.#putAside();
    }
  }

  #putAside(): void {
    this.#sessions.clear();
    this.#secret = null;
    const aside = `${this.path}.corrupt`;
    try {
      renameSync(this.path, aside);
    } catch (error) {
      throw fileError(error, "move", this.path);
    }
    this.#onProblem(`${this.path} holds no sessions; it was moved to ${aside}, and sessions begin anew`);
  }

  #apply(line: Line): void {
    if ("secret" in line) {
      this.#secret = line.secret;
      return;
    }
    const session = this.#sessions.get(line.s);
    if ("as" in line) {
      this.#sessions.set(line.s, {
        name: line.as,
        received: 0,
        acknowledged: 0,
        queue: session?.queue ?? [],
      });
      return;
    }
    if ("name" in line) {
      const { name, in: received, acked: acknowledged, queue } = line;
      this.#sessions.set(line.s, { name, received, acknowledged, queue: [...queue] });
      return;
    }
    if (session === undefined) return;
    if ("out" in line) session.queue.push(line.out);
    else if ("drop" in line) session.queue.splice(line.drop - session.acknowledged - 1, 1);
    else if ("acked" in line) {
      session.queue.splice(0, line.acked - session.acknowledged);
      session.acknowledged = line.acked;
    } else if ("in" in line) session.received = line.in;
    else this.#sessions.delete(line.s);
  }
}

/** @throws RangeError for a line that this file's writer does not write. */
function checked(value: unknown): Line {
  if (typeof value !== "object" || value === null) throw new RangeError("no line");
  const line = value as Record<string, unknown>;
  const fits =
    typeof line["secret"] === "string" ||
    (typeof line["s"] === "string" &&
      (["as", "out"].some((name) => typeof line[name] === "string") ||
        ["in", "acked", "drop"].some((name) => Number.isSafeInteger(line[name])) ||
        line["end"] === true) &&
      (!("name" in line) ||
        (typeof line["name"] === "string" &&
          Array.isArray(line["queue"]) &&
          line["queue"].every((payload) => typeof payload === "string"))));
  if (!fits) throw new RangeError("no line");
  return value as Line;
}

/** @returns how many bytes they are. */
function writeLines(fd: number, at: number, lines: readonly Line[]): number {
  const bytes = Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  for (let from = 0; from < bytes.length; )
    from += writeSync(fd, bytes, from, bytes.length - from, at + from);
  return bytes.length;
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64");
}

function fileError(error: unknown, operation: string, path: string): DeadpeerError {
  const { code, message } = error as NodeJS.ErrnoException;
  return new DeadpeerError("syscall-failed", `cannot ${operation} ${path}: ${message}`, {
    operation,
    ...(code === undefined ? {} : { errno: code }),
    cause: error,
  });
}

function warn(problem: string): void {
  process.emitWarning(problem, "DeadpeerWarning");
}
