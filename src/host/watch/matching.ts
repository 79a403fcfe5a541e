import { cgroupIds, cgroupMount } from "../../kernel/cgroups.js";
import { type NetworkNamespace, namespaceAt } from "../../kernel/namespaces.js";
import type { TcpState } from "../../kernel/tcp-states.js";
import { deadPeerMs, detectionTimes } from "../../plan/model.js";
import { linuxDefaults } from "../../plan/settings.js";
import type { VerdictState } from "../../verdict/finding.js";
import { DeadpeerError } from "../../errors.js";
import { endpointTest } from "../address.js";
import { asksForDetection, type ConnectionFilter, processesMatch } from "../filter.js";
import type { WrittenObituary } from "./obituary-writer.js";

/**
 * A test for the namespaces that a filter asks for; without any it asks for all.
 *
 * @throws DeadpeerError `no-namespace`, `permission-denied`.
 */
export function namespaceTest({ namespaces }: ConnectionFilter): (namespace: NetworkNamespace) => boolean {
  if (namespaces === "all" || namespaces.length === 0) return () => true;
  const ids = new Set(namespaces.map((path) => namespaceAt(path).id));
  return ({ id }) => ids.has(id);
}

/**
 * A test for obituaries.
 *
 * @param only states of verdicts; none ask for all.
 * @throws DeadpeerError `bad-filter` for a cgroup that does not exist, and for states that no connection dies in.
 */
export function obituaryTest(
  filter: ConnectionFilter,
  only: readonly VerdictState[],
): (written: WrittenObituary) => boolean {
  if (!filter.states.some((state) => !undying.has(state)))
    throw new DeadpeerError(
      "bad-filter",
      "--state: a listener is no connection, and what waits in TIME_WAIT has died before; name the state before death",
    );
  const local = endpointTest(filter.local);
  const remote = endpointTest(filter.remote);
  const ports = new Set(filter.ports);
  const states = new Set(filter.states);
  const verdicts = new Set(only);
  const inCgroup = cgroupTest(filter.cgroups);
  const everywhere = filter.namespaces === "all" || filter.namespaces.length === 0;
  return (written) => {
    const { obituary, place } = written;
    return (
      (everywhere || place !== null) &&
      (verdicts.size === 0 || verdicts.has(obituary.verdict.state)) &&
      states.has(obituary.state) &&
      local(obituary.local) &&
      remote(obituary.remote) &&
      (ports.size === 0 || ports.has(obituary.local.port) || ports.has(obituary.remote.port)) &&
      processesMatch(filter, obituary.processes) &&
      detectionFits(filter, written) &&
      (inCgroup === null || inCgroup(written))
    );
  };
}

/** States that no connection is in when it dies. */
const undying: ReadonlySet<TcpState> = new Set<TcpState>(["LISTEN", "TIME_WAIT", "CLOSE"]);

/** Whether its settings would have let a dead peer go unnoticed for so long; if they are not known, that is not known either. */
function detectionFits(filter: ConnectionFilter, { seen, place }: WrittenObituary): boolean {
  if (!asksForDetection(filter)) return true;
  if (seen === null) return false;
  const ms = deadPeerMs(detectionTimes(seen.settings, place?.system ?? linuxDefaults));
  if (filter.unprotected && ms !== null) return false;
  return filter.slowerThanMs === null || ms === null || ms > filter.slowerThanMs;
}

/**
 * A test for cgroups and all below them: of the one that a socket was made in, which the kernel's list tells, and of those of the
 * processes that were seen with it. null: none were asked for.
 */
function cgroupTest(paths: readonly string[]): ((written: WrittenObituary) => boolean) | null {
  if (paths.length === 0) return null;
  const mount = cgroupMount();
  const inTree = paths.map((path) =>
    (path.startsWith(mount) ? path.slice(mount.length) : path).replace(/\/+$/, ""),
  );
  let ids = new Set(paths.flatMap((path) => [...cgroupIds(path)]));
  const others = new Set<bigint>();
  const isBelow = (id: bigint): boolean => {
    if (ids.has(id)) return true;
    if (others.has(id)) return false;
    // New ones come; those that are there stay where they are (cgroups(7)).
    ids = new Set(paths.flatMap((path) => idsNow(path)));
    if (!ids.has(id)) others.add(id);
    return ids.has(id);
  };
  return ({ cgroupId, cgroups }) =>
    (cgroupId !== null && isBelow(cgroupId)) ||
    cgroups.some((cgroup) => inTree.some((path) => cgroup === path || cgroup.startsWith(`${path}/`)));
}

/** A service that is stopped takes its cgroup away, and comes back with another. */
function idsNow(path: string): bigint[] {
  try {
    return [...cgroupIds(path)];
  } catch {
    return [];
  }
}
