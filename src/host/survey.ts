import { existsSync } from "node:fs";
import { DeadpeerError } from "../errors.js";
import type { NetworkNamespace } from "../kernel/namespaces.js";
import { type SocketHolder, type SocketHolders, socketHolders } from "../kernel/processes.js";
import type { Connection } from "./connection.js";
import {
  asksForProcesses,
  type ConnectionFilter,
  detectionMatches,
  parseFilter,
  processesMatch,
} from "./filter.js";
import { type EarlierSample, FindingTable, type PathBox } from "./findings.js";
import { lookAround, type Place } from "./places.js";
import { lastHeardMs, regimeOf } from "./regime.js";
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

/** Connections, and what could not be seen of them. */
export interface HostSurvey {
  readonly connections: Connection[];
  /** Connections that all filters but those for the time to detect let through. */
  readonly considered: number;
  /** Of those, the ones that a process holds but whose settings this process may not read. */
  readonly unread: number;
  /** Why they could not be read: a privilege or kernel feature is missing. null: they, or their processes, ended meanwhile. */
  readonly unreadBecause: string | null;
  /** Namespaces that could not be entered or looked for. */
  readonly unseenNamespaces: number;
  /** The kernel's table changed all the while: something may be missing or stand there twice. */
  readonly interrupted: boolean;
}

/**
 * All TCP connections of this host, in the order of the kernel's tables, with the time that a dead peer of each would go unnoticed.
 *
 * @throws DeadpeerError `bad-filter` for a process or cgroup that does not exist, `no-namespace`, `permission-denied` to enter a
 *   namespace that was asked for by name; `feature-missing` without sock_diag; `ffi-unavailable`, `platform-unsupported`.
 * @example survey({ filter: parseFilter({ slowerThan: "60s" }) }).map(({ remote }) => remote.address)
 */
export function survey(options: SurveyOptions = {}): Connection[] {
  return surveyHost(options).connections;
}

/** As survey, and says what could not be seen. */
export function surveyHost(options: SurveyOptions = {}): HostSurvey {
  const filter = options.filter ?? parseFilter();
  const fast = options.fast ?? false;
  checkProcesses(filter);
  const { places, ...sight } = lookAround(filter, options.namespaces);
  const { holders, unreadable } = holdersOf(places, filter, fast);
  const findings = new FindingTable(options.path, options.earlier);
  const connections: Connection[] = [];
  let considered = 0;
  let unread = 0;
  using reader = new SettingsReader();
  for (const place of places) {
    const timeWait = new TimeWaitCount();
    for (const socket of place.sockets) timeWait.add(socket);
    for (const socket of place.sockets) {
      const processes = holders.get(socket.inode) ?? nobody;
      if (!processesMatch(filter, processes)) continue;
      const read = fast ? null : reader.read(socket, processes);
      if (!fast && socket.inode !== 0 && read === null) unread++;
      const seen = read ?? place.timers.of(socket);
      const regime = regimeOf(socket);
      const detection = place.detections.of(socket, seen, regime);
      const heardMs = lastHeardMs(socket);
      const connection: Connection = {
        family: socket.family,
        local: socket.local,
        remote: socket.remote,
        state: socket.state,
        inode: socket.inode,
        uid: socket.uid,
        cookie: String(socket.cookie),
        processes,
        keepalive: seen.keepalive,
        userTimeoutMs: seen.userTimeoutMs,
        settingsFrom: seen.settingsFrom,
        timer: socket.timer,
        regime,
        lastHeardMs: heardMs,
        queues: { receive: socket.receiveQueue, send: socket.sendQueue },
        detection,
        findings:
          socket.state === "TIME_WAIT"
            ? timeWait.findings(socket)
            : findings.of({ socket, seen, regime, detection, lastHeardMs: heardMs }),
        ...(place.label === null ? {} : { netns: place.label }),
      };
      considered++;
      if (detectionMatches(filter, connection)) connections.push(connection);
    }
  }
  const unreadBecause = unreadable > 0 ? hiddenProcesses : (reader.refusal?.message ?? null);
  return { connections, considered, unread, unreadBecause, ...sight };
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
