import { setImmediate } from "node:timers/promises";
import { DeadpeerError } from "../../errors.js";
import type { OwnedFd } from "../../kernel/fd.js";
import { currentNamespace } from "../../kernel/namespaces.js";
import { readSettings, type SocketSettings } from "../../kernel/socket-options.js";
import { peekTcpInfo } from "../../kernel/tcp-info.js";
import type { SettingsChange } from "../../plan/settings.js";
import { Borrower } from "../borrower.js";
import type { Connection, ConnectionDetection } from "../connection.js";
import { type SeenSettings, settingsOfSocket } from "../seen-settings.js";
import type { HostWalk } from "../survey.js";
import { type Applied, Applier, type Change, type SettleOptions } from "./applier.js";
import { changed, type HeldSettings, heldOf, isSame, unsetPart, valuesOf } from "./held.js";
import { reach } from "./reach.js";
import type { RunEntry, RunWriter } from "./run.js";
import { dangerOf, momentOf, withheld } from "./transition.js";

/** What is asked for. */
export interface WantedChange {
  /** What to change; settings of a plan are a change too. */
  readonly change: SettingsChange;
  /** Leave alone what a program has chosen itself: keepalive that is on, a user timeout above 0. */
  readonly onlyUnset?: boolean;
}

/** What came of one connection. */
export interface RepairedConnection {
  /** As it was listed, before anything was changed. */
  readonly connection: Connection;
  /**
   * `changed`; in a dry run: would be. `unchanged`: it held these settings already. `withheld`: all but the user timeout was
   * changed, because that would end it although its peer may live. `refused`: the kernel refused, and it is as it was. `denied`: its
   * process may not be looked into. `unheld`: no process holds it, as with the kernel's own (those of NFS, for one). `gone`: it ended
   * meanwhile. `aborted`: it is as it was, because of the caller's signal.
   */
  readonly outcome: Applied["outcome"] | "unchanged" | "denied" | "unheld";
  /** More to say than the outcome does. */
  readonly reason: string | null;
  /** null: they could not be read. */
  readonly before: HeldSettings | null;
  readonly after: HeldSettings | null;
  readonly detectionAfter: ConnectionDetection | null;
}

/** So many sockets are borrowed and written down at once: few enough to be open at the same time, whatever the limit. */
const batchSize = 256;

const notAllowed = "changing the sockets of its process needs CAP_SYS_PTRACE over it; run as root";
const noHolder = "no process holds it: it is the kernel's own, or has just ended";
const partOfMptcp = "it is a part of an MPTCP connection, whose parts the kernel hands to nobody";
const noUserTimeout = `${partOfMptcp}, and of the whole nobody can set the user timeout`;

/** A connection that can be changed, with its socket open until it is. */
interface Ready {
  readonly fd: OwnedFd;
  readonly change: Change;
  readonly entry: RunEntry;
  readonly attempt: Attempt;
}

/** Changes what one walk over the host comes to. */
export class Round implements Disposable {
  readonly #change: SettingsChange;
  readonly #onlyUnset: boolean;
  readonly #journal: RunWriter | null;
  readonly #borrower = new Borrower();
  readonly #applier = new Applier(this.#borrower);
  readonly #seen = new Map<string, SeenSettings>();
  readonly #ownNetns = currentNamespace().id;
  #ready: Ready[] = [];
  #wasCut = false;

  /** @param journal where what was there is written down first; null: nothing is changed. */
  constructor({ change, onlyUnset = false }: WantedChange, journal: RunWriter | null) {
    this.#change = change;
    this.#onlyUnset = onlyUnset;
    this.#journal = journal;
  }

  /** Whether the caller's signal left something undone. */
  get wasCut(): boolean {
    return this.#wasCut;
  }

  /** Sockets without a process are passed over. */
  async run(walk: HostWalk, options: SettleOptions): Promise<RepairedConnection[]> {
    const attempts: Attempt[] = [];
    this.#wasCut = true;
    try {
      for (const connection of walk) {
        if (connection.inode === 0) continue;
        attempts.push(this.#attempt(walk, connection));
        if (this.#ready.length >= batchSize) {
          await this.#changeReady();
          if (options.signal?.aborted === true) return await this.#settled(attempts, options);
        }
      }
      await this.#changeReady();
    } catch (error) {
      // No half-changed connection stays behind.
      await this.#applier.settle({ signal: AbortSignal.abort() });
      throw this.#withProgress(error, attempts);
    }
    this.#wasCut = false;
    return await this.#settled(attempts, options);
  }

  async #settled(attempts: readonly Attempt[], options: SettleOptions): Promise<RepairedConnection[]> {
    await this.#applier.settle(options);
    this.#wasCut ||= attempts.some(({ outcome }) => outcome === "aborted");
    return [...attempts];
  }

  #attempt(walk: HostWalk, connection: Connection): Attempt {
    const { place, socket } = walk;
    const attempt = new Attempt(connection);
    if (place === null || socket === null) return attempt;
    const { cookie, inode } = socket;
    const held = { cookie, inode, holders: connection.processes };
    const fd = reach(this.#borrower, held);
    if (typeof fd === "string") {
      if (fd === "mptcp")
        attempt.fail("refused", (this.#change.userTimeoutMs ?? 0) > 0 ? noUserTimeout : partOfMptcp);
      else if (fd === "denied" || (held.holders.length === 0 && walk.hidden.length > 0))
        attempt.fail("denied", this.#deniedBecause());
      else if (held.holders.length === 0) attempt.fail("unheld", noHolder);
      return attempt;
    }
    let isReady = false;
    try {
      const read = readSettings(fd.fd);
      const from = heldOf(read);
      const to = changed(from, this.#onlyUnset ? unsetPart(from, this.#change) : this.#change);
      const detectionWith = (settings: HeldSettings): ConnectionDetection =>
        place.assessments.of(socket, this.#seenWith(read, settings)).detection;
      attempt.read(from);
      if (isSame(from, to)) {
        attempt.leave(detectionWith(from));
        return attempt;
      }
      const danger = dangerOf(momentOf(peekTcpInfo(fd.fd)), from, to);
      const without = danger === null ? to : withheld(danger, from, to);
      attempt.expect(to, detectionWith(to), detectionWith(without));
      if (this.#journal === null) return attempt;
      const change = { socket: held, from, to, danger };
      const entry = entryOf(connection, place.namespace?.id ?? this.#ownNetns, change);
      this.#ready.push({ fd, change, entry, attempt });
      isReady = true;
    } catch (error) {
      // It was a TCP socket when it was listed, and its cookie says that it is the same: it refuses to be read.
      if (!(error instanceof DeadpeerError) || error.code !== "no-socket") throw error;
      attempt.fail("refused", error.message);
    } finally {
      if (!isReady) fd.close();
    }
    return attempt;
  }

  /** Writes down what is ready, changes it, and lets signals in. */
  async #changeReady(): Promise<void> {
    this.#journal?.add(this.#ready.map(({ entry }) => entry));
    for (const { fd, change, attempt } of this.#ready) {
      this.#applier.start(fd.fd, change, (applied) => attempt.tell(applied));
      fd.close();
    }
    this.#ready = [];
    await setImmediate();
  }

  /** Whatever went wrong, what was changed before can be put back. */
  #withProgress(error: unknown, attempts: readonly Attempt[]): unknown {
    const done = attempts.filter(isChanged).length - this.#ready.length;
    if (!(error instanceof DeadpeerError) || this.#journal === null || done === 0) return error;
    const message = `${error.message}; before that, ${progress(done, this.#journal.id)}`;
    return new DeadpeerError(error.code, message, { cause: error });
  }

  #deniedBecause(): string {
    const { refusal } = this.#borrower;
    return refusal?.code === "feature-missing" ? refusal.message : notAllowed;
  }

  /** Sockets with the same settings are assessed once. */
  #seenWith(read: SocketSettings, held: HeldSettings): SeenSettings {
    const key = `${valuesOf(held).join()} ${read.rtoMaxMs}`;
    let seen = this.#seen.get(key);
    if (seen === undefined) {
      seen = settingsOfSocket({ ...read, ...held });
      this.#seen.set(key, seen);
    }
    return seen;
  }

  [Symbol.dispose](): void {
    for (const { fd } of this.#ready) fd.close();
    this.#borrower[Symbol.dispose]();
  }
}

/** What is written down before a change. */
function entryOf({ local, remote }: Connection, netnsId: string, change: Change): RunEntry {
  const { socket, from, to, danger } = change;
  const entry = {
    cookie: String(socket.cookie),
    netnsId,
    local,
    remote,
    before: valuesOf(from),
    after: valuesOf(to),
  };
  return danger === null ? entry : { ...entry, carefully: true };
}

/** Whether a connection holds something else now than before. */
export function isChanged({ outcome }: RepairedConnection): boolean {
  return outcome === "changed" || outcome === "withheld";
}

/** What has been changed when something ends the work early. */
export function progress(done: number, run: string): string {
  return `${done} connection${done === 1 ? " was" : "s were"} changed; to put back what was there: deadpeer set --undo ${run}`;
}

class Attempt implements RepairedConnection {
  readonly connection: Connection;
  outcome: RepairedConnection["outcome"] = "gone";
  reason: string | null = null;
  before: HeldSettings | null = null;
  after: HeldSettings | null = null;
  detectionAfter: ConnectionDetection | null = null;
  #without: ConnectionDetection | null = null;

  constructor(connection: Connection) {
    this.connection = connection;
  }

  fail(outcome: "refused" | "denied" | "unheld", reason: string): void {
    this.outcome = outcome;
    this.reason = reason;
  }

  read(before: HeldSettings): void {
    this.before = before;
    this.after = before;
  }

  leave(detection: ConnectionDetection): void {
    this.outcome = "unchanged";
    this.detectionAfter = detection;
  }

  /** What it will hold if all goes well, and how soon its peer's death is then noticed, also with the user timeout withheld. */
  expect(after: HeldSettings, detection: ConnectionDetection, without: ConnectionDetection): void {
    this.outcome = "changed";
    this.after = after;
    this.detectionAfter = detection;
    this.#without = without;
  }

  tell({ outcome, reason, holds }: Applied): void {
    this.outcome = outcome;
    this.reason = reason;
    this.after = holds;
    if (outcome === "withheld") this.detectionAfter = this.#without;
    else if (outcome !== "changed") this.detectionAfter = this.connection.detection;
  }
}
