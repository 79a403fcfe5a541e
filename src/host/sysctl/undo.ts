import { allNamespaces, inNamespace, namespaceAt, type NetworkNamespace } from "../../kernel/namespaces.js";
import { readSysctl } from "../../kernel/sysctl.js";
import { type ApplyOptions, type SysctlChange, writeAll } from "./apply.js";
import { type JournalEntry, journalPath, readJournal, writeJournal } from "./journal.js";
import { toNumber } from "./sources.js";

/** What putting everything back means. */
export interface UndoPlan {
  readonly changes: readonly SysctlChange[];
  /** Values that somebody else has changed since deadpeer wrote them; they are left alone. */
  readonly changedSince: readonly (JournalEntry & { readonly now: number })[];
  /** Values whose namespace is gone, and with it the values. */
  readonly gone: readonly JournalEntry[];
  /** Values whose namespace is not to be found, but may be that of a process which we may not look into. */
  readonly unseen: readonly JournalEntry[];
  /** Values of namespaces that were not asked for. */
  readonly notAsked: readonly JournalEntry[];
}

/**
 * What there is to put back.
 *
 * @param only limits it to these namespaces; absent: all that deadpeer changed values in.
 */
export function planUndo(only: readonly NetworkNamespace[] | null, journal = journalPath): UndoPlan {
  const changes: SysctlChange[] = [];
  const changedSince: (JournalEntry & { now: number })[] = [];
  const gone: JournalEntry[] = [];
  const unseen: JournalEntry[] = [];
  const notAsked: JournalEntry[] = [];
  const entries = readJournal(journal);
  const living = allNamespaces();
  for (const entry of entries) {
    if (only !== null && !only.some(({ id }) => id === entry.namespaceId)) {
      notAsked.push(entry);
      continue;
    }
    const namespace = living.namespaces.find(({ id }) => id === entry.namespaceId) ?? stillAt(entry);
    if (namespace === null) {
      (living.unreadable === 0 ? gone : unseen).push(entry);
      continue;
    }
    const now = inNamespace(namespace, () => toNumber(readSysctl(entry.name)));
    if (now === entry.written)
      changes.push({ namespace, name: entry.name, before: now, after: entry.original });
    else if (now !== entry.original) changedSince.push({ ...entry, now });
  }
  return { changes, changedSince, gone, unseen, notAsked };
}

/** A namespace that no process is in and that is mounted outside /run/netns: only its path leads to it. */
function stillAt({ namespacePath, namespaceId }: JournalEntry): NetworkNamespace | null {
  try {
    const namespace = namespaceAt(namespacePath);
    return namespace.id === namespaceId ? namespace : null;
  } catch {
    return null;
  }
}

/** Puts everything back, all or nothing, and forgets it. */
export async function undo(plan: UndoPlan, options: ApplyOptions = {}): Promise<void> {
  await writeAll(plan.changes, options.signal);
  writeJournal([...plan.unseen, ...plan.notAsked], options.journal);
}
