import { type ConnectionFilter, parseFilter } from "../filter.js";
import { type Repair, repair, type RepairOptions } from "../repair/repair.js";
import type { Policy } from "./find.js";

/** The connections that a policy would have set if it had been there when they were established, in whichever network namespace. */
export function connectionsOf({ cgroup, ports, remotes }: Policy): ConnectionFilter {
  return { ...parseFilter({ cgroup: [cgroup], allNetns: true }), ports, remote: remotes };
}

/**
 * Gives the connections that a policy came too late for its settings; like `repair`, which undoRepair undoes.
 *
 * @throws DeadpeerError as repair.
 * @example await applyToExisting(listPolicies()[0])
 */
export async function applyToExisting(
  policy: Policy,
  options: Omit<RepairOptions, "change" | "onlyUnset" | "filter" | "all"> = {},
): Promise<Repair> {
  const { settings: change, onlyUnset } = policy;
  return await repair({
    label: `policy ${policy.id}`,
    ...options,
    filter: connectionsOf(policy),
    change,
    onlyUnset,
  });
}
