import { DeadpeerError } from "../../errors.js";
import { listPolicies, type Policy } from "../../host/policy/find.js";
import { removePolicy } from "../../host/policy/remove.js";
import type { PolicyTarget } from "../../host/policy/target.js";
import { requireLinux } from "../../kernel/platform.js";
import { policiesById, policyAt } from "./choose.js";
import { policyJson } from "./json.js";

/** What commander collects for `deadpeer policy remove`. */
export interface RemoveOptions extends PolicyTarget {
  readonly all?: boolean;
  readonly json?: boolean;
}

export function runRemove(ids: readonly string[], options: RemoveOptions): void {
  requireLinux("cgroups");
  const removed = chosen(ids, options).filter(removePolicy);
  if (options.json === true) process.stdout.write(`${JSON.stringify(removed.map(policyJson), null, 2)}\n`);
  else if (removed.length === 0) process.stdout.write("No policy to remove.\n");
  else for (const { id, cgroup } of removed) process.stdout.write(`Removed policy ${id} of ${cgroup}.\n`);
}

function chosen(ids: readonly string[], options: RemoveOptions): readonly Policy[] {
  const { cgroup, service, container, all = false } = options;
  const isTargeted = cgroup !== undefined || service !== undefined || container !== undefined;
  const ways = [ids.length > 0, isTargeted, all].filter(Boolean).length;
  if (ways !== 1)
    throw new DeadpeerError(
      "bad-option",
      "say which policies to remove, in one way: by their ids, by --service, --container or --cgroup, or --all",
    );
  if (all) return listPolicies();
  return isTargeted ? [policyAt(options)] : policiesById(ids);
}
