import { setImmediate } from "node:timers/promises";
import { DeadpeerError } from "../../errors.js";
import { inNamespace, type NetworkNamespace } from "../../kernel/namespaces.js";
import { readSysctl, writeSysctl } from "../../kernel/sysctl.js";
import { journalPath, readJournal, recorded, writeJournal } from "./journal.js";
import { toNumber } from "./sources.js";
import type { SysctlTarget } from "./targets.js";

/** One value of one namespace, as it is and as it shall be. */
export interface SysctlChange {
  readonly namespace: NetworkNamespace;
  readonly name: string;
  readonly before: number;
  readonly after: number;
}

export interface ApplyOptions {
  /** Ends the work between two writes; what was written is put back. */
  readonly signal?: AbortSignal;
  readonly journal?: string;
}

/** What writing the targets would change; values that are right already are left out. */
export function pendingChanges(
  namespaces: readonly NetworkNamespace[],
  targets: readonly SysctlTarget[],
): SysctlChange[] {
  return namespaces.flatMap((namespace) =>
    inNamespace(namespace, () =>
      targets.map(({ name, value }) => ({
        namespace,
        name,
        before: toNumber(readSysctl(name)),
        after: value,
      })),
    ).filter(({ before, after }) => before !== after),
  );
}

/**
 * Makes the changes and records what was there, all or nothing.
 *
 * @throws DeadpeerError `permission-denied`, `value-refused`, `aborted` or `syscall-failed`; every value is then what it was.
 */
export async function applyChanges(
  changes: readonly SysctlChange[],
  options: ApplyOptions = {},
): Promise<void> {
  const { journal = journalPath } = options;
  const earlier = readJournal(journal);
  // Writing what is there already shows whether we may, before anything is recorded.
  for (const { namespace, name, before } of changes) inNamespace(namespace, () => writeSysctl(name, before));
  writeJournal(
    recorded(
      earlier,
      changes.map(({ namespace, name, before, after }) => ({
        namespaceId: namespace.id,
        namespacePath: namespace.path,
        name,
        before,
        after,
      })),
    ),
    journal,
  );
  try {
    await writeAll(changes, options.signal);
  } catch (error) {
    // What could not be put back stays in the journal, for --undo.
    if (changes.every(isBack)) writeJournal(earlier, journal);
    throw error;
  }
}

/** Writes every change, or none: the first failure puts back what was written before it. */
export async function writeAll(changes: readonly SysctlChange[], signal?: AbortSignal): Promise<void> {
  const written: SysctlChange[] = [];
  try {
    for (const change of changes) {
      await stopIfAborted(signal);
      // Before the write: one that the kernel took but changed has to be put back too.
      written.push(change);
      inNamespace(change.namespace, () => writeSysctl(change.name, change.after));
    }
    await stopIfAborted(signal);
  } catch (error) {
    const stuck = written.toReversed().filter((change) => !putBack(change));
    if (stuck.length === 0 || !(error instanceof DeadpeerError)) throw error;
    throw new DeadpeerError(
      error.code,
      `${error.message}; and these could not be put back: ${stuck.map(({ name, before }) => `${name} to ${before}`).join(", ")}`,
      { cause: error },
    );
  }
}

/** Lets a signal in, which only comes between two turns of the event loop. */
async function stopIfAborted(signal: AbortSignal | undefined): Promise<void> {
  await setImmediate();
  if (signal?.aborted === true) throw new DeadpeerError("aborted", "interrupted: nothing was changed");
}

function putBack(change: SysctlChange): boolean {
  try {
    inNamespace(change.namespace, () => writeSysctl(change.name, change.before));
  } catch {
    // The write that failed in the first place fails again, but has changed nothing.
  }
  return isBack(change);
}

function isBack({ namespace, name, before }: SysctlChange): boolean {
  try {
    return inNamespace(namespace, () => toNumber(readSysctl(name))) === before;
  } catch (error) {
    // A namespace that has gone has taken its values with it.
    return error instanceof DeadpeerError && error.code === "no-namespace";
  }
}
