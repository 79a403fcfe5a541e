import { DeadpeerError } from "../../errors.js";
import { detachPolicy } from "./attach.js";
import { withCgroup } from "./cgroup.js";
import type { Policy } from "./find.js";

/**
 * Removes a policy. Connections that have its settings keep them.
 *
 * @returns false if it was gone already, or its cgroup was.
 * @throws DeadpeerError `permission-denied`.
 */
export function removePolicy(policy: Policy): boolean {
  try {
    return withCgroup(policy.cgroup, (cgroup) => detachPolicy(cgroup, policy));
  } catch (error) {
    if (error instanceof DeadpeerError && error.code === "no-cgroup") return false;
    throw error;
  }
}
