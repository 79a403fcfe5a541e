import { existsSync } from "node:fs";
import { DeadpeerError } from "../errors.js";
import type { NetworkNamespace } from "../kernel/namespaces.js";
import { processName, type SocketHolder, type SocketHolders, socketHolders } from "../kernel/processes.js";
import type { SocketRecord } from "../kernel/sock-diag.js";
import type { Connection } from "./connection.js";
import {
  asksForDetection,
  asksForProcesses,
  type ConnectionFilter,
  detectionMatches,
  parseFilter,
  processesMatch,
} from "./filter.js";
import { type EarlierSample, FindingTable, type PathBox } from "./findings.js";
import { PassingConnection } from "./passing.js";
import { lookAround, type Place, type Surroundings } from "./places.js";
import type { SeenSettings } from "./seen-settings.js";
import { SettingsReader } from "./settings-reader.js";

export interface SurveyOptions {
  /** Which connections; all but listeners, of the own network namespace, by default. */
  readonly filter?: ConnectionFilter;
  /** Namespaces to look into, instead of those that the filter names. */
  readonly namespaces?: readonly NetworkNamespace[];
  /** Leave processes and sockets alone and say what the kernel's list alone gives away; needs no privilege. */
  readonly fast?: boolean;
  /** Boxes on the path, for the finding `idle-exceeds-path`. */
  readonly path?: readonly PathBox[];
  /** A sample taken before, for the finding `unacked-growing`. */
  readonly earlier?: EarlierSample;
  /** Sockets for which this says false are left out before anything is asked about them. */
  readonly isWanted?: (socket: SocketRecord, place: Place) => boolean;
}

/** What could not be seen, known once all connections have been walked through. */
export interface Sight {
  /** Connections that all filters but those for the time to detect let through. */
  readonly considered: number;
  /** Those that all filters let through. */
  readonly matched: number;
  /** Of those, the ones that a process holds but whose settings this process may not read. */
  readonly unread: number;
  /** Why they could not be read: a privilege or kernel feature is missing. null: they, or their processes, ended meanwhile. */
  readonly unreadBecause: string | null;
  /** Namespaces that could not be entered. */
  readonly unseenNamespaces: number;
  /** Where all namespaces are meant: processes whose namespace could not be seen. It may be one that another is in as well. */
  readonly hidingProcesses: number;
  /** The kernel's table changed all the while: something may be missing or stand there twice. */
  readonly interrupted: boolean;
}

/** Connections, and what could not be seen of them. */
export interface HostSurvey {
  readonly connections: Connection[];
  readonly sight: Sight;
}

/**
 * All TCP connections of this host, in the order of the kernel's tables, with the time that a dead peer of each would go unnoticed.
 *
 * @throws DeadpeerError `bad-filter` for a process or cgroup that does not exist, `no-namespace`, `permission-denied` to enter a
 *   namespace that was asked for by name; `feature-missing` without sock_diag; `ffi-unavailable`, `platform-unsupported`.
 * @example survey({ filter: parseFilter({ slowerThan: "60s" }) }).map(({ remote }) => remote.address)
 */
export function survey(options: SurveyOptions = {}): Connection[] {
  return [...new HostWalk(options)];
}

/** As survey, and says what could not be seen. */
export function surveyHost(options: SurveyOptions = {}): HostSurvey {
  const walk = new HostWalk(options);
  return { connections: [...walk], sight: walk.sight() };
}

/**
 * As survey, one connection after the other: the host is listed when the walk is made, each connection described when it is
 * reached. Of many thousand, those that nobody keeps then cost little more than the kernel's part.
 *
 * @example for (const connection of new HostWalk({ fast: true })) print(connection);
 */
export class HostWalk implements Iterable<Connection> {
  readonly #filter: ConnectionFilter;
  readonly #fast: boolean;
  readonly #asksForProcesses: boolean;
  readonly #asksForDetection: boolean;
  readonly #isWanted: SurveyOptions["isWanted"];
  readonly #surroundings: Surroundings;
  /** Looked for when the first socket is described: those who want few often want none. */
  #processes: SocketHolders | null = null;
  #hidden: readonly Pick<SocketHolder, "pid" | "name">[] | null = null;
  #place: Place | null = null;
  #socket: SocketRecord | null = null;
  #considered = 0;
  #matched = 0;
  #unread = 0;
  #refusal: string | null = null;

  constructor(options: SurveyOptions = {}) {
    this.#filter = options.filter ?? parseFilter();
    this.#fast = options.fast ?? false;
    this.#isWanted = options.isWanted;
    this.#asksForProcesses = asksForProcesses(this.#filter);
    this.#asksForDetection = asksForDetection(this.#filter);
    checkProcesses(this.#filter);
    const findings = new FindingTable(options.path, options.earlier);
    this.#surroundings = lookAround(this.#filter, findings, options.namespaces);
  }

  /** Where the connection lives that the walk has reached; null before the first. */
  get place(): Place | null {
    return this.#place;
  }

  /** The kernel's own record of the connection that the walk has reached; it moves on with the walk. */
  get socket(): SocketRecord | null {
    return this.#socket;
  }

  *[Symbol.iterator](): Generator<Connection, void, undefined> {
    for (const connection of this.passing()) yield connection.copy();
  }

  /** The same for whoever is done with one connection before asking for the next: one object shows them all. */
  *passing(): Generator<PassingConnection, void, undefined> {
    using reader = new SettingsReader();
    const connection = new PassingConnection();
    for (const place of this.#surroundings.places) {
      this.#place = place;
      connection.netns = place.label ?? undefined;
      for (const socket of place.sockets.passing()) {
        if (place.isMeant?.(socket) === false || this.#isWanted?.(socket, place) === false) continue;
        if (!this.#describe(place, socket, reader, connection)) continue;
        if (this.#asksForDetection && !detectionMatches(this.#filter, connection)) continue;
        this.#matched++;
        this.#socket = socket;
        yield connection;
      }
    }
    this.#refusal = reader.refusal?.message ?? null;
  }

  /**
   * Processes that the filter names or, if it names none, all that there are, as far as they may not be looked into: what they hold is
   * not known.
   */
  get hidden(): readonly Pick<SocketHolder, "pid" | "name">[] {
    this.#processes ??= holdersOf(this.#filter, this.#fast);
    this.#hidden ??= this.#processes.hidden
      .map((pid) => ({ pid, name: processName(pid) }))
      .filter((process) => processesMatch(this.#filter, [process]));
    return this.#hidden;
  }

  sight(): Sight {
    const { unseenNamespaces, hidingProcesses, interrupted } = this.#surroundings;
    return {
      considered: this.#considered,
      matched: this.#matched,
      unread: this.#unread,
      unreadBecause: (this.#processes?.unreadable ?? 0) > 0 ? hiddenProcesses : this.#refusal,
      unseenNamespaces,
      hidingProcesses,
      interrupted,
    };
  }

  /** @returns false for a connection of processes that were not asked for. */
  #describe(
    place: Place,
    socket: SocketRecord,
    reader: SettingsReader,
    connection: PassingConnection,
  ): boolean {
    const inode = socket.inode;
    this.#processes ??= holdersOf(this.#filter, this.#fast);
    const processes = this.#processes.holders.get(inode) ?? nobody;
    if (this.#asksForProcesses && !processesMatch(this.#filter, processes)) return false;
    this.#considered++;
    let read: SeenSettings | null = null;
    if (!this.#fast) {
      read = reader.read(socket, processes);
      if (read === null && inode !== 0) this.#unread++;
    }
    connection.show(socket, processes, place.assessments.of(socket, read));
    if (connection.state === "TIME_WAIT") connection.findings = place.timeWait.findings(connection);
    return true;
  }
}

const hiddenProcesses =
  "other users' processes may not be looked into; that needs CAP_SYS_PTRACE, run as root";
const nobody: readonly SocketHolder[] = [];

/** @throws DeadpeerError `bad-filter` for a process that does not exist. */
export function checkProcesses({ pids }: ConnectionFilter): void {
  for (const pid of pids)
    if (!existsSync(`/proc/${pid}`))
      throw new DeadpeerError("bad-filter", `--pid ${pid}: there is no such process`);
}

/** Who holds what, where anybody wants to know. */
function holdersOf(filter: ConnectionFilter, fast: boolean): SocketHolders {
  if (fast && !asksForProcesses(filter)) return { holders: new Map(), unreadable: 0, hidden: [] };
  return socketHolders(fast && filter.pids.length > 0 ? { pids: filter.pids } : {});
}
