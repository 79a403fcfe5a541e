import { DeadpeerError } from "../../errors.js";
import { listPolicies, type Policy, policyOf } from "../../host/policy/find.js";
import { findCgroup, type PolicyTarget } from "../../host/policy/target.js";

/**
 * The policy of one cgroup.
 *
 * @throws DeadpeerError as findCgroup and policyOf; `no-policy` if it has none.
 */
export function policyAt(target: PolicyTarget): Policy {
  const path = findCgroup(target);
  const policy = policyOf(path);
  if (policy === null)
    throw new DeadpeerError(
      "no-policy",
      `the cgroup ${path} has no policy; deadpeer policy list shows those that there are`,
    );
  return policy;
}

/**
 * The policies that ids stand for.
 *
 * @throws DeadpeerError `bad-option` for what is no id, `no-policy` for one that no policy has.
 */
export function policiesById(ids: readonly string[]): Policy[] {
  const policies = listPolicies();
  return ids.map((text) => {
    if (!/^\d+$/.test(text))
      throw new DeadpeerError(
        "bad-option",
        `"${text}" is not a policy's id; deadpeer policy list shows them`,
      );
    const policy = policies.find(({ id }) => id === Number(text));
    if (policy !== undefined) return policy;
    const known = policies.map(({ id, cgroup }) => `${id} (${cgroup})`).join(", ");
    throw new DeadpeerError(
      "no-policy",
      `there is no policy ${text}; ${known === "" ? "there is none at all" : `there are ${known}`}`,
    );
  });
}
