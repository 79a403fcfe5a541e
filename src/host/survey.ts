import { existsSync } from "node:fs";
import { DeadpeerError } from "../errors.js";
import type { NetworkNamespace } from "../kernel/namespaces.js";
import { type SocketHolder, type SocketHolders, socketHolders } from "../kernel/processes.js";
import type { DiagSocket } from "../kernel/sock-diag.js";
import type { Connection } from "./connection.js";
import {
  asksForProcesses,
  type ConnectionFilter,
  detectionMatches,
  parseFilter,
  processesMatch,
} from "./filter.js";
import { type EarlierSample, FindingTable, type PathBox } from "./findings.js";
import { lookAround, type Place, type Surroundings } from "./places.js";
import { lastHeardMs, regimeOf } from "./regime.js";
import type { SocketFacts } from "./socket-facts.js";
import { SettingsReader } from "./settings-reader.js";
import { TimeWaitCount } from "./time-wait.js";

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
  /** Namespaces that could not be entered or looked for. */
  readonly unseenNamespaces: number;
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
  readonly #surroundings: Surroundings;
  readonly #processes: SocketHolders;
  readonly #findings: FindingTable;
  #considered = 0;
  #matched = 0;
  #unread = 0;
  #refusal: string | null = null;

  constructor(options: SurveyOptions = {}) {
    this.#filter = options.filter ?? parseFilter();
    this.#fast = options.fast ?? false;
    checkProcesses(this.#filter);
    this.#surroundings = lookAround(this.#filter, options.namespaces);
    this.#processes = holdersOf(this.#surroundings.places, this.#filter, this.#fast);
    this.#findings = new FindingTable(options.path, options.earlier);
  }

  *[Symbol.iterator](): Generator<Connection, void, undefined> {
    using reader = new SettingsReader();
    for (const place of this.#surroundings.places) {
      const timeWait = new TimeWaitCount(place.sockets);
      for (const socket of place.sockets) {
        const connection = this.#describe(place, socket, reader, timeWait);
        if (connection === null || !detectionMatches(this.#filter, connection)) continue;
        this.#matched++;
        yield connection;
      }
    }
    this.#refusal = reader.refusal?.message ?? null;
  }

  sight(): Sight {
    const { unseenNamespaces, interrupted } = this.#surroundings;
    return {
      considered: this.#considered,
      matched: this.#matched,
      unread: this.#unread,
      unreadBecause: this.#processes.unreadable > 0 ? hiddenProcesses : this.#refusal,
      unseenNamespaces,
      interrupted,
    };
  }

  /** null for a connection of processes that were not asked for. */
  #describe(
    place: Place,
    socket: DiagSocket,
    reader: SettingsReader,
    timeWait: TimeWaitCount,
  ): Connection | null {
    // Every field of a record is decoded anew each time it is asked for.
    const { inode, state, timer, local, remote, sendQueue, info } = socket;
    const processes = this.#processes.holders.get(inode) ?? nobody;
    if (!processesMatch(this.#filter, processes)) return null;
    this.#considered++;
    const read = this.#fast ? null : reader.read(socket, processes);
    if (!this.#fast && inode !== 0 && read === null) this.#unread++;
    const cookie = String(socket.cookie);
    const facts: SocketFacts = { cookie, inode, state, timer, local, remote, sendQueue, info };
    const seen = read ?? place.timers.of(facts);
    const regime = regimeOf(facts);
    const detection = place.detections.of(facts, seen, regime);
    const heardMs = lastHeardMs(facts);
    const connection: Connection = {
      family: socket.family,
      local,
      remote,
      state,
      inode,
      uid: socket.uid,
      cookie,
      processes,
      keepalive: seen.keepalive,
      userTimeoutMs: seen.userTimeoutMs,
      settingsFrom: seen.settingsFrom,
      timer,
      regime,
      lastHeardMs: heardMs,
      queues: { receive: socket.receiveQueue, send: sendQueue },
      detection,
      findings:
        state === "TIME_WAIT"
          ? timeWait.findings(facts)
          : this.#findings.of({ socket: facts, seen, regime, detection, lastHeardMs: heardMs }),
    };
    return place.label === null ? connection : { ...connection, netns: place.label };
  }
}

const hiddenProcesses =
  "other users' processes may not be looked into; that needs CAP_SYS_PTRACE, run as root";
const nobody: readonly SocketHolder[] = [];

function checkProcesses({ pids }: ConnectionFilter): void {
  for (const pid of pids)
    if (!existsSync(`/proc/${pid}`))
      throw new DeadpeerError("bad-filter", `--pid ${pid}: there is no such process`);
}

/** Who holds what, where anybody wants to know. */
function holdersOf(places: readonly Place[], filter: ConnectionFilter, fast: boolean): SocketHolders {
  if ((fast && !asksForProcesses(filter)) || places.every(({ sockets }) => sockets.length === 0))
    return { holders: new Map(), unreadable: 0 };
  return socketHolders(fast && filter.pids.length > 0 ? { pids: filter.pids } : {});
}
