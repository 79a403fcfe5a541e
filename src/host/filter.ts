import { DeadpeerError } from "../errors.js";
import type { SocketHolder } from "../kernel/processes.js";
import type { DiagQuery } from "../kernel/sock-diag.js";
import type { TcpState } from "../kernel/tcp-states.js";
import { parseDuration } from "../plan/duration.js";
import { type EndpointFilter, endpointTest, parseEndpoint } from "./address.js";
import { parsePort } from "./port.js";
import type { Connection } from "./connection.js";
import { connectionStates, parseStates } from "./states.js";

/** Filters as people write them on the command line. Several of one kind: any may fit; of several kinds, all must. */
export interface FilterOptions {
  readonly pid?: readonly string[];
  readonly process?: readonly string[];
  readonly local?: readonly string[];
  readonly remote?: readonly string[];
  readonly port?: readonly string[];
  readonly state?: readonly string[];
  readonly listeners?: boolean;
  readonly unprotected?: boolean;
  readonly slowerThan?: string;
  readonly cgroup?: readonly string[];
  readonly netns?: readonly string[];
  readonly allNetns?: boolean;
}

/** Which connections are meant. Empty lists and null ask for nothing. */
export interface ConnectionFilter {
  readonly pids: readonly number[];
  /** Names as in /proc/PID/comm. */
  readonly processNames: readonly string[];
  readonly local: readonly EndpointFilter[];
  readonly remote: readonly EndpointFilter[];
  /** On either side. */
  readonly ports: readonly number[];
  readonly states: readonly TcpState[];
  readonly unprotected: boolean;
  readonly slowerThanMs: number | null;
  /** Paths of cgroups; those below count as well. */
  readonly cgroups: readonly string[];
  /** Paths or names of network namespaces; "all" for every one; none for the own. */
  readonly namespaces: readonly string[] | "all";
}

/** The kernel keeps 15 bytes of a program's name (TASK_COMM_LEN), so a longer one is compared in part. */
const commBytes = 15;

/**
 * Reads filters once, so that whoever shares them refuses the same mistakes with the same words.
 *
 * @throws DeadpeerError `bad-filter`, `bad-address` or `bad-duration` for what cannot match anything.
 * @example parseFilter({ remote: ["10.0.0.0/8:5432"], slowerThan: "60s" })
 */
export function parseFilter(options: FilterOptions = {}): ConnectionFilter {
  if (options.allNetns === true && (options.netns ?? []).length > 0)
    throw new DeadpeerError("bad-option", "--all-netns and --netns: give one or the other");
  return {
    pids: (options.pid ?? []).map(parsePid),
    processNames: (options.process ?? []).map((name) => notEmpty(name, "--process")),
    local: (options.local ?? []).map((text) => parseEndpoint(text, "--local")),
    remote: (options.remote ?? []).map((text) => parseEndpoint(text, "--remote")),
    ports: (options.port ?? []).map((text) => parsePort(text, "--port")),
    states: statesOf(options),
    unprotected: options.unprotected ?? false,
    slowerThanMs:
      options.slowerThan === undefined ? null : parseDuration(options.slowerThan, "--slower-than"),
    cgroups: (options.cgroup ?? []).map((path) => notEmpty(path, "--cgroup")),
    namespaces:
      options.allNetns === true ? "all" : (options.netns ?? []).map((path) => notEmpty(path, "--netns")),
  };
}

function statesOf({ state = [], listeners = false }: FilterOptions): readonly TcpState[] {
  const asked = state.length === 0 ? connectionStates : state.flatMap((text) => parseStates(text));
  return [...new Set<TcpState>(listeners ? [...asked, "LISTEN"] : asked)];
}

/** /proc/sys/kernel/pid_max cannot be set higher (include/linux/threads.h: PID_MAX_LIMIT). */
const pidLimit = 4_194_304;

/** @throws DeadpeerError `bad-filter` for what is no process number. */
export function parsePid(text: string): number {
  const pid = /^\d+$/.test(text.trim()) ? Number(text) : Number.NaN;
  if (pid >= 1 && pid <= pidLimit) return pid;
  throw new DeadpeerError("bad-filter", `--pid: "${text}" is not a process number`);
}

function notEmpty(text: string, what: string): string {
  if (text.trim() !== "") return text;
  throw new DeadpeerError("bad-filter", `${what}: a value is missing`);
}

/**
 * Whether a filter leaves anything out but listeners: what changes or ends connections does so to all of a host only where that was
 * said in so many words. A namespace alone says where to look, not what is meant.
 */
export function isSelective(filter: ConnectionFilter): boolean {
  return (
    asksForProcesses(filter) ||
    asksForDetection(filter) ||
    filter.ports.length > 0 ||
    filter.cgroups.length > 0 ||
    isSelectiveEnd(filter.local) ||
    isSelectiveEnd(filter.remote) ||
    connectionStates.some((state) => !filter.states.includes(state))
  );
}

/** `*` asks for nothing, also beside others. */
function isSelectiveEnd(filters: readonly EndpointFilter[]): boolean {
  return filters.length > 0 && filters.every(({ network, port }) => network !== null || port !== null);
}

/** The part of a filter that the kernel applies itself: what it leaves out is never copied to us. */
export function diagQuery(filter: ConnectionFilter): DiagQuery {
  return {
    states: filter.states,
    info: true,
    ...(filter.local.length === 1 ? { local: endpointQuery(filter.local[0]) } : {}),
    ...(filter.remote.length === 1 ? { remote: endpointQuery(filter.remote[0]) } : {}),
    ...(filter.ports.length === 1 && filter.ports[0] !== undefined ? { port: filter.ports[0] } : {}),
  };
}

function endpointQuery(filter: EndpointFilter | undefined): { address?: string; port?: number } {
  return {
    ...(filter?.network == null ? {} : { address: filter.network }),
    ...(filter?.port == null ? {} : { port: filter.port }),
  };
}

type Ends = Pick<Connection, "local" | "remote">;

/** A test for what diagQuery does not ask: several alternatives of one kind; null: there are none. */
export function endsTest(filter: ConnectionFilter): ((ends: Ends) => boolean) | null {
  if ([filter.local, filter.remote, filter.ports].every((alternatives) => alternatives.length <= 1))
    return null;
  const local = endpointTest(filter.local.length > 1 ? filter.local : []);
  const remote = endpointTest(filter.remote.length > 1 ? filter.remote : []);
  const ports = filter.ports.length > 1 ? new Set(filter.ports) : null;
  return (ends) =>
    local(ends.local) &&
    remote(ends.remote) &&
    (ports === null || ports.has(ends.local.port) || ports.has(ends.remote.port));
}

/** Whether a filter asks for the processes that hold a socket. */
export function asksForProcesses(filter: ConnectionFilter): boolean {
  return filter.pids.length > 0 || filter.processNames.length > 0;
}

/** Whether any of the processes that hold a connection was asked for. */
export function processesMatch(
  filter: ConnectionFilter,
  processes: readonly Pick<SocketHolder, "pid" | "name">[],
): boolean {
  if (!asksForProcesses(filter)) return true;
  return processes.some(
    ({ pid, name }) =>
      (filter.pids.length === 0 || filter.pids.includes(pid)) &&
      (filter.processNames.length === 0 || filter.processNames.some((asked) => isNamed(name, asked))),
  );
}

function isNamed(name: string, asked: string): boolean {
  return name === asked || (name.length >= commBytes && asked.startsWith(name));
}

/** Whether a filter asks for the time to detect. */
export function asksForDetection({ unprotected, slowerThanMs }: ConnectionFilter): boolean {
  return unprotected || slowerThanMs !== null;
}

/**
 * Whether a connection's time to detect fits the questions for it. A dead peer is the question, so a slow reader that keeps its
 * window closed does not count; a connection of which nothing is known fits neither.
 */
export function detectionMatches(
  filter: ConnectionFilter,
  connection: Pick<Connection, "settingsFrom" | "regime" | "detection">,
): boolean {
  if (!asksForDetection(filter)) return true;
  if (connection.settingsFrom === "unknown" || connection.regime === "none") return false;
  const { deadPeerMs } = connection.detection;
  if (filter.unprotected && deadPeerMs !== null) return false;
  return filter.slowerThanMs === null || deadPeerMs === null || deadPeerMs > filter.slowerThanMs;
}
