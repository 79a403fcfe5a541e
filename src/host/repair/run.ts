import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DeadpeerError } from "../../errors.js";
import { appendDurably, fileError, removeDurably, writeDurably } from "../durable-file.js";
import type { HeldValues } from "./held.js";

/** One socket that a run has changed, or was about to. */
export interface RunEntry {
  /** In decimal. */
  readonly cookie: string;
  /** The network namespace's inode: before Linux 5.8 cookies are counted in each anew (__sock_gen_cookie). */
  readonly netnsId: string;
  /** For people, and against another socket of the same number. */
  readonly local: { readonly address: string; readonly port: number };
  readonly remote: { readonly address: string; readonly port: number };
  readonly before: HeldValues;
  readonly after: HeldValues;
  /** It may hold what settings in danger hold meanwhile: its writer waited for its peer, and may have been killed over it. */
  readonly carefully?: true;
}

/** What one call of `set` has changed. */
export interface Run {
  /** Four characters, to be typed. */
  readonly id: string;
  /** ISO 8601. */
  readonly at: string;
  /** The kernel's monotonic clock, which tells the order of runs also when the clock is set. */
  readonly monotonicMs: number;
  /** What was asked for, as a person would recognise it. */
  readonly label: string;
  readonly entries: readonly RunEntry[];
}

interface RunHead extends Omit<Run, "entries"> {
  readonly deadpeer: "set";
  readonly version: 1;
  readonly bootId: string;
}

const ending = ".jsonl";

/** A run that is being made: what it is about to change is written down first, and only ever added to. */
export class RunWriter {
  readonly id: string;
  readonly #path: string;
  readonly #head: RunHead;

  /** Nothing is written before the first entries. The caller holds the folder's lock until then. */
  constructor(folder: string, label: string) {
    this.id = freeId(folder);
    this.#path = join(folder, this.id + ending);
    this.#head = {
      deadpeer: "set",
      version: 1,
      id: this.id,
      bootId: bootId(),
      at: new Date().toISOString(),
      monotonicMs: Number(process.hrtime.bigint() / 1_000_000n),
      label,
    };
  }

  /** When this returns, the entries outlive this process. */
  add(entries: readonly RunEntry[]): void {
    if (entries.length === 0) return;
    // Undone and forgotten meanwhile, or the first of all.
    const head = existsSync(this.#path) ? "" : line(this.#head);
    appendDurably(this.#path, head + entries.map(line).join(""));
  }

  /** Nothing was changed after all. */
  forget(): void {
    writeRun(this.#path, this.#head, []);
  }
}

/** Leaves only these entries of a run; without any it is forgotten. */
export function keepEntries(folder: string, run: Run, entries: readonly RunEntry[]): void {
  const { id, at, monotonicMs, label } = run;
  const head: RunHead = { deadpeer: "set", version: 1, id, bootId: bootId(), at, monotonicMs, label };
  writeRun(join(folder, id + ending), head, entries);
}

function writeRun(path: string, head: RunHead, entries: readonly RunEntry[]): void {
  if (entries.length > 0) writeDurably(path, line(head) + entries.map(line).join(""));
  else if (existsSync(path)) removeDurably(path);
}

/**
 * The runs since the boot, the oldest first. Those of an earlier boot are passed over: their sockets have ended.
 *
 * @throws DeadpeerError `file-conflict` for a file that is none of deadpeer's.
 */
export function readRuns(folder: string): Run[] {
  return runPaths(folder)
    .flatMap((path) => readRun(path) ?? [])
    .sort((a, b) => a.monotonicMs - b.monotonicMs);
}

/** A file of which nothing can be undone. */
export interface DeadRun {
  readonly path: string;
  /** `earlier-boot`: its sockets have ended; /run may outlive a boot. `unwritten`: its writer was killed before its first line was. */
  readonly why: "earlier-boot" | "unwritten";
}

/** The files of which nothing can be undone. One that is just being written is among them unless the caller holds the folder's lock. */
export function deadRuns(folder: string): DeadRun[] {
  return runPaths(folder).flatMap((path) => {
    const lines = linesOf(path);
    if (headOf(path, lines) !== null) return [];
    return [{ path, why: lines.length === 0 ? "unwritten" : "earlier-boot" }];
  });
}

/** Removes the files of which nothing can be undone. The caller holds the folder's lock. */
export function forgetDeadRuns(folder: string): void {
  for (const { path } of deadRuns(folder)) removeDurably(path);
}

/** Whether there may be a run to undo. */
export function hasRuns(folder: string): boolean {
  return runPaths(folder).length > 0;
}

function runPaths(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith(ending))
      .map((name) => join(folder, name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw fileError(error, "read", folder);
  }
}

/** null: of an earlier boot. */
function readRun(path: string): Run | null {
  const lines = linesOf(path);
  const head = headOf(path, lines);
  if (head === null) return null;
  const entries = lines.slice(1).map(parsed);
  if (!entries.every(isEntry)) throw conflict(path);
  const { id, at, monotonicMs, label } = head;
  return { id, at, monotonicMs, label, entries };
}

/** What stands behind the last line's end was being written when its writer was killed, and was not acted on. */
function linesOf(path: string): string[] {
  try {
    return readFileSync(path, "utf8").split("\n").slice(0, -1);
  } catch (error) {
    throw fileError(error, "read", path);
  }
}

/** null: of an earlier boot, or nothing was written yet. */
function headOf(path: string, [first]: readonly string[]): RunHead | null {
  if (first === undefined) return null;
  const head = parsed(first);
  if (!isHead(head)) throw conflict(path);
  return head.bootId === bootId() ? head : null;
}

function conflict(path: string): DeadpeerError {
  return new DeadpeerError(
    "file-conflict",
    `${path} is not a journal of deadpeer's; look at it and move it away`,
  );
}

function line(value: RunHead | RunEntry): string {
  return `${JSON.stringify(value)}\n`;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function isHead(value: unknown): value is RunHead {
  const head = value as Partial<Record<keyof RunHead, unknown>> | null;
  return (
    head?.deadpeer === "set" &&
    head.version === 1 &&
    typeof head.id === "string" &&
    typeof head.bootId === "string" &&
    typeof head.at === "string" &&
    typeof head.monotonicMs === "number" &&
    typeof head.label === "string"
  );
}

function isEntry(value: unknown): value is RunEntry {
  const entry = value as Partial<Record<keyof RunEntry, unknown>> | null;
  return (
    typeof entry?.cookie === "string" &&
    typeof entry.netnsId === "string" &&
    [entry.local, entry.remote].every(isEnd) &&
    [entry.before, entry.after].every(isValues) &&
    (entry.carefully === undefined || entry.carefully === true)
  );
}

function isEnd(value: unknown): boolean {
  const end = value as Partial<RunEntry["local"]> | null | undefined;
  return typeof end?.address === "string" && Number.isInteger(end.port);
}

function isValues(value: unknown): boolean {
  return Array.isArray(value) && value.length === 5 && value.every(Number.isInteger);
}

function freeId(folder: string): string {
  for (;;) {
    const id = randomBytes(2).toString("hex");
    if (!existsSync(join(folder, id + ending))) return id;
  }
}

let ownBootId: string | undefined;

/** A boot's name, which no other has. */
function bootId(): string {
  ownBootId ??= readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  return ownBootId;
}
