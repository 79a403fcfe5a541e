import { readFileSync } from "node:fs";
import { DeadpeerError } from "../../errors.js";
import { fileError, removeDurably, writeDurably } from "../durable-file.js";

/** Run-time values die with the boot, and so does what is known of them. */
export const journalPath = "/run/deadpeer/sysctl.json";

/** One value that deadpeer has changed and can put back. */
export interface JournalEntry {
  /** The network namespace's inode, which tells namespaces apart while they live. */
  readonly namespaceId: string;
  readonly namespacePath: string;
  readonly name: string;
  /** What was there before deadpeer wrote to it. */
  readonly original: number;
  /** What deadpeer wrote last. Another value there means that somebody else has decided since. */
  readonly written: number;
}

/** A value about to be written. */
export type JournalChange = Omit<JournalEntry, "original" | "written"> & {
  readonly before: number;
  readonly after: number;
};

/** The entry of one sysctl in one namespace. */
export function findEntry(
  entries: readonly JournalEntry[],
  namespaceId: string,
  name: string,
): JournalEntry | undefined {
  return entries.find((entry) => entry.namespaceId === namespaceId && entry.name === name);
}

/**
 * The journal after further changes: of several changes to one value the oldest original is kept, unless somebody else wrote in
 * between (or the namespace is another one that got the same inode): then what they left is what there is to put back.
 */
export function recorded(
  entries: readonly JournalEntry[],
  changes: readonly JournalChange[],
): JournalEntry[] {
  const next = [...entries];
  for (const { before, after, ...place } of changes) {
    const known = findEntry(next, place.namespaceId, place.name);
    if (known !== undefined) next.splice(next.indexOf(known), 1);
    const original = known !== undefined && known.written === before ? known.original : before;
    if (original !== after) next.push({ ...place, original, written: after });
  }
  return next;
}

/**
 * What deadpeer has changed since the boot.
 *
 * @throws DeadpeerError `file-conflict` when the file holds something else.
 */
export function readJournal(path = journalPath): JournalEntry[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw fileError(error, "read", path);
  }
  try {
    const { version, entries } = JSON.parse(text) as { version: unknown; entries: unknown };
    if (version === 1 && Array.isArray(entries) && entries.every(isEntry)) return entries;
  } catch {
    // Not JSON, or no object: said below.
  }
  throw new DeadpeerError(
    "file-conflict",
    `${path} is not a journal of deadpeer's; look at it and move it away`,
  );
}

/** Writes the journal ahead of the changes it describes, so that even a killed deadpeer's changes can be undone. */
export function writeJournal(entries: readonly JournalEntry[], path = journalPath): void {
  if (entries.length > 0) writeDurably(path, `${JSON.stringify({ version: 1, entries }, null, 2)}\n`);
  else if (readJournal(path).length > 0) removeDurably(path);
}

function isEntry(value: unknown): value is JournalEntry {
  const entry = value as Partial<Record<keyof JournalEntry, unknown>> | null;
  return (
    typeof entry === "object" &&
    entry !== null &&
    typeof entry.namespaceId === "string" &&
    typeof entry.namespacePath === "string" &&
    typeof entry.name === "string" &&
    Number.isInteger(entry.original) &&
    Number.isInteger(entry.written)
  );
}
