import type { Policy } from "../../host/policy/find.js";

/** A policy as `policy list --json` shows it. */
export function policyJson(policy: Policy): unknown {
  const { id, cgroup, settings, onlyUnset, ports, remotes, at, owner, counters, lastError } = policy;
  return {
    id,
    cgroup,
    settings,
    onlyUnset,
    ports,
    remotes,
    at,
    owner: { command: owner.command, pid: owner.pid, uid: owner.uid },
    holdsLater: policy.holdsLater,
    counters,
    lastError,
    programs: policy.programs,
  };
}
