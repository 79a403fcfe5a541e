import { DeadpeerError } from "../../errors.js";
import { addPolicy } from "../../host/policy/add.js";
import { findCgroup, type PolicyTarget } from "../../host/policy/target.js";
import { requireLinux } from "../../kernel/platform.js";
import { exitStatus, statusOf } from "../exit.js";
import { note } from "../note.js";
import { policyJson } from "./json.js";
import { policyRequest, type PolicyRequestOptions, withoutPolicy } from "./request.js";
import { changeText, filterText } from "./words.js";

/** What commander collects for `deadpeer policy add`. */
export interface AddOptions extends PolicyTarget, PolicyRequestOptions {
  readonly replace?: boolean;
  readonly json?: boolean;
}

export function runAdd(options: AddOptions): void {
  requireLinux("cgroups");
  const request = policyRequest(options, "policy add");
  const path = findCgroup(options);
  try {
    const added = addPolicy(path, request, { replace: options.replace ?? false });
    const { policy, replaced, laterProblem } = added;
    if (laterProblem !== null)
      note(`what programs set later on a connection is not held against: ${laterProblem.message}`);
    if (options.json === true) {
      process.stdout.write(`${JSON.stringify(policyJson(policy), null, 2)}\n`);
      return;
    }
    const instead = replaced.length === 0 ? "" : `, in place of ${replaced.map(({ id }) => id).join(", ")}`;
    process.stdout.write(
      `Policy ${policy.id} on ${policy.cgroup}${instead}: ${changeText(policy.settings)} for connections to come (${filterText(policy)}).\n` +
        `Those that are open already: deadpeer policy apply-existing ${policy.id}\n` +
        `To remove it: deadpeer policy remove ${policy.id}\n`,
    );
  } catch (error) {
    if (!(error instanceof DeadpeerError) || statusOf(error.code) !== exitStatus.missing) throw error;
    note(error.message);
    note(
      `without it, the same from outside as connections appear: ${withoutPolicy(["--cgroup", path], options)}`,
    );
    process.exitCode = exitStatus.missing;
  }
}
