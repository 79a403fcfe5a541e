import { DeadpeerError } from "../errors.js";
import { cgroupIds } from "../kernel/cgroups.js";
import { allNamespaces, inNamespace, type NetworkNamespace, namespaceAt } from "../kernel/namespaces.js";
import { type DiagSocket, dumpSockets, type SocketTable } from "../kernel/sock-diag.js";
import { readSystemDefaults } from "../kernel/sysctl.js";
import type { SystemDefaults } from "../plan/settings.js";
import { AssessmentTable } from "./assessment.js";
import { type ConnectionFilter, diagQuery, endsTest } from "./filter.js";
import type { FindingTable } from "./findings.js";
import { TimeWaitCount } from "./time-wait.js";

/** One network namespace: its sockets, and what its defaults make of them. */
export interface Place {
  /** null: the own one. */
  readonly namespace: NetworkNamespace | null;
  /** null where only one namespace was asked for. */
  readonly label: string | null;
  readonly system: SystemDefaults;
  readonly sockets: SocketTable;
  /** What the kernel was not asked, as a test; null: nothing. */
  readonly isMeant: ((socket: DiagSocket) => boolean) | null;
  readonly timeWait: TimeWaitCount;
  readonly assessments: AssessmentTable;
}

export interface Surroundings {
  readonly places: Place[];
  /** Namespaces that could not be entered. */
  readonly unseenNamespaces: number;
  /** Processes whose namespace could not be seen. */
  readonly hidingProcesses: number;
  /** The kernel's table changed all the while. */
  readonly interrupted: boolean;
}

/**
 * The sockets of every namespace that a filter asks for, as far as the kernel's list can tell which are meant.
 *
 * @param given namespaces to look into instead of those that the filter names.
 * @throws DeadpeerError `no-namespace` and `permission-denied` for a namespace that was asked for by name; of "all" those that
 *   cannot be entered are counted instead.
 */
export function lookAround(
  filter: ConnectionFilter,
  findings: FindingTable,
  given?: readonly NetworkNamespace[],
): Surroundings {
  const isMeant = socketTest(filter);
  const { namespaces, unreadable } =
    given === undefined ? namespacesOf(filter) : { namespaces: given, unreadable: 0 };
  const labelled = filter.namespaces === "all" || namespaces.length > 1;
  const places: Place[] = [];
  let unseenNamespaces = 0;
  let interrupted = false;
  for (const namespace of namespaces) {
    try {
      const sockets = dumpSockets(diagQuery(filter), namespace ?? undefined);
      const system = namespace === null ? readSystemDefaults() : inNamespace(namespace, readSystemDefaults);
      interrupted ||= sockets.interrupted;
      places.push({
        namespace,
        label: labelled ? labelOf(namespace) : null,
        system,
        sockets,
        isMeant,
        timeWait: new TimeWaitCount(
          isMeant === null ? sockets.inState("TIME_WAIT") : sockets.inState("TIME_WAIT").filter(isMeant),
        ),
        assessments: new AssessmentTable(system, findings),
      });
    } catch (error) {
      if (filter.namespaces !== "all" || !(error instanceof DeadpeerError)) throw error;
      // Of those that nobody named, one that has gone meanwhile is no news.
      if (error.code === "permission-denied") unseenNamespaces++;
      else if (error.code !== "no-namespace") throw error;
    }
  }
  return { places, unseenNamespaces, hidingProcesses: unreadable, interrupted };
}

/** What the kernel was not asked, as a test; null: nothing. */
function socketTest(filter: ConnectionFilter): ((socket: DiagSocket) => boolean) | null {
  const cgroups = filter.cgroups.map((path) => cgroupIds(path));
  const ends = endsTest(filter);
  if (cgroups.length === 0) return ends;
  return (socket) => {
    const id = socket.cgroupId;
    return id !== null && cgroups.some((ids) => ids.has(id)) && (ends === null || ends(socket));
  };
}

/** null stands for the own namespace, which needs no entering. */
function namespacesOf({ namespaces }: ConnectionFilter): {
  namespaces: readonly (NetworkNamespace | null)[];
  unreadable: number;
} {
  if (namespaces === "all") return allNamespaces();
  if (namespaces.length === 0) return { namespaces: [null], unreadable: 0 };
  const byId = new Map(namespaces.map(namespaceAt).map((namespace) => [namespace.id, namespace]));
  return { namespaces: [...byId.values()], unreadable: 0 };
}

function labelOf(namespace: NetworkNamespace | null): string | null {
  return namespace === null ? null : (namespace.name ?? namespace.path);
}
