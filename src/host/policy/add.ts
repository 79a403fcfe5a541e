import { DeadpeerError } from "../../errors.js";
import {
  BPF_CGROUP_SETSOCKOPT,
  BPF_CGROUP_SOCK_OPS,
  BPF_PROG_TYPE_CGROUP_SOCKOPT,
  BPF_PROG_TYPE_SOCK_OPS,
} from "../../kernel/bpf/abi.js";
import { requireBpfCapabilities } from "../../kernel/bpf/errors.js";
import { createValue, readMapInfo, writeValue } from "../../kernel/bpf/maps.js";
import { pidNamespace, processStartTicks } from "../../kernel/processes.js";
import { attachNew, detachPolicy } from "./attach.js";
import { noCgroup, type OpenCgroup, withCgroup } from "./cgroup.js";
import { establishedProgram } from "./established.js";
import { policiesOf, type Policy } from "./find.js";
import { laterProgram } from "./later.js";
import { encodeRecord, policyNames, type PolicyOwner } from "./record.js";
import { checkRequest, type PolicyRequest } from "./request.js";

export interface AddOptions {
  /** Put it in the place of the policy that the cgroup has already, without a moment in which there is none. */
  readonly replace?: boolean;
  /** What it is made for; `add` unless said otherwise. */
  readonly command?: PolicyOwner["command"];
}

/** A policy that was just made. */
export interface AddedPolicy {
  readonly policy: Policy;
  /** Those whose place it took. */
  readonly replaced: readonly Policy[];
  /** Why it cannot hold against what programs set later; null: it can, or was not asked to (`onlyUnset`). */
  readonly laterProblem: DeadpeerError | null;
}

/**
 * Gives a cgroup a policy: every TCP connection that is established from now on by a socket of the cgroup or one below it, in either
 * direction, over IPv4 or IPv6, gets the settings. It stays until it is removed or the cgroup is, whatever becomes of this process.
 *
 * Where a cgroup around this one has a policy too, the inner one decides about the connections that fit it.
 *
 * @param path of the cgroup, within the tree (`/system.slice/app.service`) or whole.
 * @throws DeadpeerError `no-cgroup`, `policy-exists`, `bad-option`, `value-refused`; `permission-denied` naming the capability,
 *   `feature-missing` without BPF or cgroup v2; VerifierError `bpf-refused`.
 * @example addPolicy("/system.slice/app.service", { settings: planDetection({ detectWithin: "35s" }).settings, ports: [5432] });
 */
export function addPolicy(path: string, request: PolicyRequest, options: AddOptions = {}): AddedPolicy {
  checkRequest(request);
  requireBpfCapabilities();
  return withCgroup(path, (cgroup) => {
    const [existing] = policiesOf(cgroup);
    if (existing !== undefined && options.replace !== true) throw policyExists(existing);
    const complete = { onlyUnset: false, ports: [], remotes: [], ...request };
    const value = encodeRecord({
      ...complete,
      at: new Date().toISOString(),
      owner: ownerHere(options.command ?? "add"),
    });
    using map = createValue(policyNames.map, value.length);
    writeValue(map, value);
    const { id } = readMapInfo(map);
    attachNew(cgroup, BPF_CGROUP_SOCK_OPS, {
      name: policyNames.established,
      type: BPF_PROG_TYPE_SOCK_OPS,
      code: establishedProgram(complete, map.fd),
    });
    let laterProblem: DeadpeerError | null = null;
    try {
      attachNew(cgroup, BPF_CGROUP_SETSOCKOPT, {
        name: policyNames.later,
        type: BPF_PROG_TYPE_CGROUP_SOCKOPT,
        expectedAttachType: BPF_CGROUP_SETSOCKOPT,
        code: laterProgram(complete, map.fd),
      });
    } catch (error) {
      if (!(error instanceof DeadpeerError)) throw error;
      laterProblem = complete.onlyUnset ? null : error;
    }
    return { ...settle(cgroup, id, options.replace === true), laterProblem };
  });
}

/**
 * Decides between a policy that was just attached and those before it. Two processes that add at the same time are attached one
 * after the other, so both see the same order.
 */
function settle(
  cgroup: OpenCgroup,
  id: number,
  replace: boolean,
): { policy: Policy; replaced: readonly Policy[] } {
  const policies = policiesOf(cgroup);
  const position = policies.findIndex((policy) => policy.id === id);
  const policy = policies[position];
  // Removed together with its cgroup, or by somebody who removes all.
  if (policy === undefined) throw noCgroup(cgroup.path);
  const earlier = policies.slice(0, position);
  if (earlier[0] !== undefined && !replace) {
    detachPolicy(cgroup, policy);
    throw policyExists(earlier[0]);
  }
  for (const one of earlier) detachPolicy(cgroup, one);
  return { policy, replaced: earlier };
}

function ownerHere(command: PolicyOwner["command"]): PolicyOwner {
  return {
    command,
    pid: process.pid,
    startTicks: processStartTicks(process.pid) ?? 0,
    pidNamespace: pidNamespace(),
    uid: process.getuid?.() ?? 0,
  };
}

function policyExists({ id, cgroup }: Policy): DeadpeerError {
  return new DeadpeerError(
    "policy-exists",
    `the cgroup ${cgroup} has policy ${id} already; to put this one in its place: --replace`,
  );
}
