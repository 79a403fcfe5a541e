import { basename } from "node:path";
import { listPolicies, type Policy } from "../../host/policy/find.js";
import { removePolicy } from "../../host/policy/remove.js";
import { isRun } from "../../host/run/names.js";
import type { Search } from "./trace.js";

/** Policies. Somebody asked for each of them, and it holds whatever has become of its maker: they go only with `--all`. */
export const policies: Search = {
  subject: "policies",
  look({ all }) {
    // Those of runs go with their cgroups.
    const found = listPolicies().filter(({ cgroup }) => !isRun(basename(cgroup)));
    return {
      leftovers: all
        ? found.map((policy) => ({
            what: "policy",
            name: nameOf(policy),
            why: "--all",
            remove: () => void removePolicy(policy),
          }))
        : [],
      kept: all
        ? []
        : found.map((policy) => ({
            what: "policy",
            name: nameOf(policy),
            why: `asked for at ${policy.at.slice(0, 19)}Z`,
            undo: `deadpeer policy remove ${policy.id}`,
          })),
    };
  },
};

function nameOf({ id, cgroup }: Policy): string {
  return `${id} on ${cgroup}`;
}
