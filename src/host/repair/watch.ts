import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { DeadpeerError } from "../../errors.js";
import { type ConnectionFilter, parseFilter } from "../filter.js";
import { requireChoice } from "../selective.js";
import { HostWalk } from "../survey.js";
import { lockRuns, runsFolder } from "./folder.js";
import type { Repair, RepairOptions } from "./repair.js";
import { isChanged, Round } from "./round.js";
import { forgetDeadRuns, keepEntries, readRuns, RunWriter } from "./run.js";
import { SeenSockets } from "./seen-sockets.js";

export interface RepairWatchOptions extends Omit<RepairOptions, "dryRun"> {
  /** From one look to the next; a second by default. */
  readonly intervalMs?: number;
}

/**
 * Changes connections as they appear: first those that are there, then each new one within the interval. Every socket is changed
 * once; what its program sets afterwards stays. All of it is one run for undoRepair.
 *
 * Ends when the caller's signal fires, or when the processes that the filter numbers have all ended.
 *
 * @throws DeadpeerError as repair, but for `aborted`.
 * @example for await (const { connections } of watchRepair({ filter, change, signal })) report(connections);
 */
export async function* watchRepair(options: RepairWatchOptions): AsyncGenerator<Repair, void, undefined> {
  const { filter = parseFilter(), signal, intervalMs = 1_000 } = options;
  requireChoice(filter, options.all ?? false);
  const watch = new RepairWatch(options);
  for (let left: ConnectionFilter | null = filter; left !== null; left = withoutEnded(filter)) {
    const repair = await watch.look(left);
    if (repair === null) return;
    yield repair;
    await sleep(intervalMs, undefined, signal === undefined ? {} : { signal }).catch(() => {});
    if (signal?.aborted === true) return;
  }
}

/** null: of the processes that it numbers none is left. */
function withoutEnded(filter: ConnectionFilter): ConnectionFilter | null {
  if (filter.pids.length === 0) return filter;
  const pids = filter.pids.filter((pid) => existsSync(`/proc/${pid}`));
  return pids.length === 0 ? null : { ...filter, pids };
}

/** When so many entries were added, the run is written anew without the sockets that have ended. */
const tidyAfter = 10_000;

class RepairWatch {
  readonly #options: RepairWatchOptions;
  readonly #folder: string;
  readonly #seen = new SeenSockets();
  #journal: RunWriter | null = null;
  #added = 0;

  constructor(options: RepairWatchOptions) {
    this.#options = options;
    this.#folder = options.folder ?? runsFolder();
  }

  /** null: the caller's signal fired before anything was done. */
  async look(filter: ConnectionFilter): Promise<Repair | null> {
    const { namespaces, signal, label = "repair", onWait } = this.#options;
    using lock = await lockRuns(this.#folder, signal, onWait).catch(unlessAborted);
    if (lock === null) return null;
    const isFirst = this.#journal === null;
    if (this.#journal === null) {
      forgetDeadRuns(this.#folder);
      this.#journal = new RunWriter(this.#folder, label);
    }
    this.#seen.turn();
    using round = new Round(this.#options, this.#journal);
    const walk = new HostWalk({
      filter,
      isWanted: (socket, place) => this.#seen.isNew(socket, place),
      ...(namespaces === undefined ? {} : { namespaces }),
    });
    const connections = await round.run(walk, this.#options);
    // Between the kernel's list and that of the processes' descriptors it may have been accepted.
    for (const { outcome, connection } of connections)
      if (outcome === "unheld") this.#seen.lookAgain(connection.cookie);
    this.#tidy(this.#journal, connections.filter(isChanged).length);
    const run = connections.some(isChanged) ? this.#journal.id : null;
    // Looking through all processes is for those looks alone that have met something.
    const hidden = isFirst || connections.length > 0 ? walk.hidden : [];
    return { run, connections, hidden, sight: walk.sight() };
  }

  #tidy(journal: RunWriter, added: number): void {
    this.#added += added;
    if (this.#added < tidyAfter) return;
    this.#added = 0;
    const run = readRuns(this.#folder).find(({ id }) => id === journal.id);
    if (run === undefined) return;
    keepEntries(
      this.#folder,
      run,
      run.entries.filter(({ cookie }) => this.#seen.isThere(cookie)),
    );
  }
}

function unlessAborted(error: unknown): null {
  if (error instanceof DeadpeerError && error.code === "aborted") return null;
  throw error;
}
