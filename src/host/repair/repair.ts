import { DeadpeerError } from "../../errors.js";
import type { NetworkNamespace } from "../../kernel/namespaces.js";
import { type ConnectionFilter, parseFilter } from "../filter.js";
import { requireChoice } from "../selective.js";
import { HostWalk, type Sight } from "../survey.js";
import { lockRuns, runsFolder } from "./folder.js";
import { isChanged, progress, type RepairedConnection, Round, type WantedChange } from "./round.js";
import { forgetDeadRuns, RunWriter } from "./run.js";

export interface RepairOptions extends WantedChange {
  /** Which connections; listeners too if it names their state: what they accept inherits. */
  readonly filter?: ConnectionFilter;
  /** Every connection is meant, and no filter says otherwise. */
  readonly all?: boolean;
  /** Namespaces to look into, instead of those that the filter names. */
  readonly namespaces?: readonly NetworkNamespace[];
  /** What was asked for, as a person would recognise it among other runs. */
  readonly label?: string;
  /** Only say what would be changed. */
  readonly dryRun?: boolean;
  /** Ends the work between two sockets; what has been changed by then can be undone. */
  readonly signal?: AbortSignal;
  /** Called if another deadpeer changes sockets, before it is waited for. */
  readonly onWait?: () => void;
  /** Called if peers are given time to answer before the rest is set, with how many and for how long at most. */
  readonly onPatience?: (peers: number, forMs: number) => void;
  /** Where runs are written down; for root /run/deadpeer/set. */
  readonly folder?: string;
}

/** What came of a repair. */
export interface Repair {
  /** For undoRepair; null if nothing was changed. */
  readonly run: string | null;
  /** Those that a process holds. Nobody can change the others, such as those in TIME_WAIT, and they end by themselves. */
  readonly connections: readonly RepairedConnection[];
  /** Processes, of those that were asked for, that may not be looked into: whatever they hold stays as it is. */
  readonly hidden: HostWalk["hidden"];
  readonly sight: Sight;
}

/**
 * Changes the settings of live sockets, whichever process holds them, without that process noticing. What was there is written down
 * before, so that undoRepair can put it back, also after a crash of this process. A connection that the new settings might end
 * although its peer lives is probed first, and gets its user timeout when the peer has answered.
 *
 * @throws DeadpeerError `bad-option` without a filter or `all`, `aborted`; as HostWalk and lockRuns; `permission-denied`,
 *   `syscall-failed` if what was there cannot be written down. Sockets that cannot be changed are no error: each says why.
 * @example
 * const { settings } = planDetection({ detectWithin: "35s" });
 * await repair({ filter: parseFilter({ process: ["postgres"] }), change: settings });
 */
export async function repair(options: RepairOptions): Promise<Repair> {
  const { filter = parseFilter(), namespaces, folder = runsFolder(), signal } = options;
  requireChoice(filter, options.all ?? false);
  using lock = options.dryRun === true ? null : await lockRuns(folder, signal, options.onWait);
  if (lock !== null) forgetDeadRuns(folder);
  const journal = lock === null ? null : new RunWriter(folder, options.label ?? "repair");
  using round = new Round(options, journal);
  const walk = new HostWalk({ filter, ...(namespaces === undefined ? {} : { namespaces }) });
  const connections = await round.run(walk, options);
  if (round.wasCut) throw interrupted(connections, journal);
  const isAnyChanged = connections.some(isChanged);
  if (!isAnyChanged) journal?.forget();
  return {
    run: isAnyChanged ? (journal?.id ?? null) : null,
    connections,
    hidden: walk.hidden,
    sight: walk.sight(),
  };
}

function interrupted(connections: readonly RepairedConnection[], journal: RunWriter | null): DeadpeerError {
  const done = connections.filter(isChanged).length;
  const what = journal === null || done === 0 ? "nothing was changed" : progress(done, journal.id);
  return new DeadpeerError("aborted", `interrupted: ${what}`);
}
