import { setImmediate } from "node:timers/promises";
import { DeadpeerError } from "../../errors.js";
import type { SocketHolder } from "../../kernel/processes.js";
import { readSettings } from "../../kernel/socket-options.js";
import { peekTcpInfo } from "../../kernel/tcp-info.js";
import { Borrower } from "../borrower.js";
import { type Applied, Applier } from "./applier.js";
import { lockRuns, runsFolder } from "./folder.js";
import { heldFrom, type HeldSettings, heldOf, isSame, valuesOf } from "./held.js";
import { keyOf, type Located, locate } from "./locate.js";
import { reach } from "./reach.js";
import { hasRuns, keepEntries, readRuns, type Run, type RunEntry } from "./run.js";
import { dangerOf, momentOf } from "./transition.js";
import { wayBack } from "./way-back.js";

export interface UndoOptions {
  /** Which run; the last one by default. */
  readonly run?: string;
  readonly dryRun?: boolean;
  /** Ends the work between two sockets; the same can be undone again. */
  readonly signal?: AbortSignal;
  readonly onWait?: () => void;
  readonly onPatience?: (peers: number, forMs: number) => void;
  readonly folder?: string;
}

/** What came of one socket that a run had changed. */
export interface UndoneSocket {
  readonly local: RunEntry["local"];
  readonly remote: RunEntry["remote"];
  /** Who holds it now. */
  readonly processes: readonly SocketHolder[];
  /**
   * `restored`: it holds what it held before the run; in a dry run: it would. `unchanged`: it did already. `changed-since`: somebody
   * has set something else since the run, which stays. `later`: a later run has changed the same, and now leads back to before both.
   * `withheld`, `refused`, `denied`, `gone`, `aborted`: as in RepairedConnection. `unseen`: its network namespace may not be entered.
   */
  readonly outcome:
    | Applied["outcome"]
    | "restored"
    | "unchanged"
    | "changed-since"
    | "later"
    | "denied"
    | "unseen";
  readonly reason: string | null;
  /** null: they were not read. */
  readonly before: HeldSettings | null;
  readonly after: HeldSettings | null;
}

/** A run, undone. */
export interface Undo {
  readonly run: Omit<Run, "entries">;
  readonly sockets: readonly UndoneSocket[];
  /** How many of them could not be reached or refused; the run still leads back for these. */
  readonly left: number;
}

/**
 * The runs that can be undone, the oldest first.
 *
 * @example repairRuns().at(-1)?.id
 */
export function repairRuns(folder: string = runsFolder()): Run[] {
  return readRuns(folder);
}

/**
 * Puts back what was there before a repair, on every socket of it that still is. Sockets that follow the system's sysctls hold
 * their values as their own from then on: the kernel takes no "none" back.
 *
 * @returns null if there is nothing to undo.
 * @throws DeadpeerError `bad-option` for a run that there is not, with those that there are; `aborted`; as lockRuns.
 * @example await undoRepair()
 */
export async function undoRepair(options: UndoOptions = {}): Promise<Undo | null> {
  const { folder = runsFolder(), signal, dryRun = false } = options;
  if (options.run === undefined && !hasRuns(folder)) return null;
  using lock = dryRun ? null : await lockRuns(folder, signal, options.onWait);
  const runs = readRuns(folder);
  const run = chosen(runs, options.run);
  if (run === null) return null;
  const later = runs.slice(runs.indexOf(run) + 1);
  using way = new RunUndo(run, later, folder, lock === null);
  return await way.go(options);
}

function chosen(runs: readonly Run[], id: string | undefined): Run | null {
  if (id === undefined) return runs.at(-1) ?? null;
  const run = runs.find((one) => one.id === id);
  if (run !== undefined) return run;
  const there = runs.map(
    (one) => `${one.id} (${one.label}, at ${one.at.slice(0, 19)}Z, ${one.entries.length})`,
  );
  throw new DeadpeerError(
    "bad-option",
    `--undo ${id}: there is no such run; ${there.length === 0 ? "there is none at all" : `there are: ${there.join(", ")}`}`,
  );
}

const batchSize = 256;

class RunUndo implements Disposable {
  readonly #run: Run;
  readonly #later: readonly Run[];
  readonly #folder: string;
  readonly #dryRun: boolean;
  readonly #borrower = new Borrower();
  readonly #applier = new Applier(this.#borrower);
  readonly #located: ReadonlyMap<string, Located>;
  readonly #hidden: number;
  /** The later runs' entries by socket, each run's place beside it, and what becomes of them. */
  readonly #laterOf: ReadonlyMap<string, readonly { run: Run; entry: RunEntry }[]>;
  readonly #replaced = new Map<RunEntry, RunEntry>();

  constructor(run: Run, later: readonly Run[], folder: string, dryRun: boolean) {
    this.#run = run;
    this.#later = later;
    this.#folder = folder;
    this.#dryRun = dryRun;
    const { located, hidden } = locate(run.entries);
    this.#located = located;
    this.#hidden = hidden;
    const laterOf = new Map<string, { run: Run; entry: RunEntry }[]>();
    for (const one of later)
      for (const entry of one.entries) {
        const key = keyOf(entry);
        const known = laterOf.get(key);
        if (known === undefined) laterOf.set(key, [{ run: one, entry }]);
        else known.push({ run: one, entry });
      }
    this.#laterOf = laterOf;
  }

  async go(options: UndoOptions): Promise<Undo> {
    const { signal } = options;
    const sockets: Undone[] = [];
    try {
      // The last change of a socket first, should one run have changed it twice.
      for (const entry of this.#run.entries.toReversed()) {
        sockets.push(this.#undo(entry));
        if (sockets.length % batchSize !== 0) continue;
        await setImmediate();
        if (signal?.aborted === true) break;
      }
    } catch (error) {
      await this.#applier.settle({ signal: AbortSignal.abort() });
      throw error;
    }
    await this.#applier.settle(options);
    if (signal?.aborted === true) throw interrupted(sockets, this.#run.id);
    const left = sockets.filter(isLeft);
    if (!this.#dryRun) {
      this.#handOn();
      keepEntries(this.#folder, this.#run, left.map(({ entry }) => entry).toReversed());
    }
    const { id, at, monotonicMs, label } = this.#run;
    return { run: { id, at, monotonicMs, label }, sockets: sockets.toReversed(), left: left.length };
  }

  #undo(entry: RunEntry): Undone {
    const undone = new Undone(entry);
    const located = this.#located.get(keyOf(entry)) ?? "gone";
    if (typeof located === "string") return undone.end(located);
    undone.processes = located.holders;
    const borrowed = reach(this.#borrower, located);
    if (typeof borrowed === "string") {
      const isHidden = borrowed === "denied" || (located.holders.length === 0 && this.#hidden > 0);
      return isHidden
        ? undone.end("denied", this.#borrower.refusal?.message ?? notAllowed)
        : undone.end("gone");
    }
    try {
      const from = heldOf(readSettings(borrowed.fd));
      const later = this.#laterOf.get(keyOf(entry)) ?? [];
      const way = wayBack(
        entry,
        valuesOf(from),
        later.map(({ entry: one }) => this.#replaced.get(one) ?? one),
      );
      for (const [index, { entry: one }] of later.entries()) {
        const replacement = way.later[index];
        if (way.isHandedOn && replacement !== undefined) this.#replaced.set(one, replacement);
      }
      const to = heldFrom(way.to);
      undone.before = from;
      undone.after = to;
      const otherwise = way.isHandedOn ? "later" : way.isChangedSince ? "changed-since" : null;
      if (isSame(from, to)) return undone.end(otherwise ?? "unchanged");
      undone.end(otherwise ?? "restored");
      if (this.#dryRun) return undone;
      const danger = dangerOf(momentOf(peekTcpInfo(borrowed.fd)), from, to);
      this.#applier.start(
        borrowed.fd,
        { socket: located, from, to, danger },
        ({ outcome, reason, holds }) => {
          undone.after = holds;
          if (outcome !== "changed") undone.end(outcome, reason);
        },
      );
      return undone;
    } catch (error) {
      if (!(error instanceof DeadpeerError) || error.code !== "no-socket") throw error;
      return undone.end("refused", error.message);
    } finally {
      borrowed.close();
    }
  }

  /** Before this run forgets its entries: killed in between, both lead back. */
  #handOn(): void {
    for (const run of this.#later) {
      if (!run.entries.some((entry) => this.#replaced.has(entry))) continue;
      keepEntries(
        this.#folder,
        run,
        run.entries.map((entry) => this.#replaced.get(entry) ?? entry),
      );
    }
  }

  [Symbol.dispose](): void {
    this.#borrower[Symbol.dispose]();
  }
}

const notAllowed = "its process may not be looked into; that needs CAP_SYS_PTRACE, run as root";

const leftOutcomes: ReadonlySet<UndoneSocket["outcome"]> = new Set<UndoneSocket["outcome"]>([
  "withheld",
  "refused",
  "denied",
  "unseen",
]);

/** Whether what was there is still to be put back. */
function isLeft({ outcome }: UndoneSocket): boolean {
  return leftOutcomes.has(outcome);
}

function interrupted(sockets: readonly Undone[], id: string): DeadpeerError {
  const done = sockets.filter(({ outcome }) => outcome === "restored").length;
  return new DeadpeerError(
    "aborted",
    `interrupted: ${done} of ${sockets.length} connections looked at were put back; for the rest, again: deadpeer set --undo ${id}`,
  );
}

class Undone implements UndoneSocket {
  readonly entry: RunEntry;
  readonly local: RunEntry["local"];
  readonly remote: RunEntry["remote"];
  processes: readonly SocketHolder[] = [];
  outcome: UndoneSocket["outcome"] = "gone";
  reason: string | null = null;
  before: HeldSettings | null = null;
  after: HeldSettings | null = null;

  constructor(entry: RunEntry) {
    this.entry = entry;
    this.local = entry.local;
    this.remote = entry.remote;
  }

  end(outcome: UndoneSocket["outcome"], reason: string | null = null): this {
    this.outcome = outcome;
    this.reason = reason;
    return this;
  }
}
