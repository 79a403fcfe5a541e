import { DeadpeerError } from "../../errors.js";
import { applyToExisting, connectionsOf } from "../../host/policy/existing.js";
import type { PolicyTarget } from "../../host/policy/target.js";
import { requireLinux } from "../../kernel/platform.js";
import { interruptible } from "../interrupt.js";
import { sayGaps } from "../set/gaps.js";
import { printRepair, sayWaiting } from "../set/print.js";
import { policiesById, policyAt } from "./choose.js";

/** What commander collects for `deadpeer policy apply-existing`. */
export interface ApplyOptions extends PolicyTarget {
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

export async function runApplyExisting(id: string | undefined, options: ApplyOptions): Promise<void> {
  requireLinux("cgroups");
  const { cgroup, service, container, dryRun = false } = options;
  const isTargeted = cgroup !== undefined || service !== undefined || container !== undefined;
  if (id !== undefined && isTargeted)
    throw new DeadpeerError("bad-option", "give a policy's id, or whose policy it is; not both");
  if (id === undefined && !isTargeted)
    throw new DeadpeerError(
      "bad-option",
      "say which policy: by its id, as deadpeer policy list shows it, or by --service nginx, --container 4f1c2a or --cgroup /system.slice/nginx.service",
    );
  const [policy] = id === undefined ? [policyAt(options)] : policiesById([id]);
  if (policy === undefined) return;
  const done = await interruptible((signal) => applyToExisting(policy, { dryRun, signal, ...sayWaiting }));
  printRepair(done, options);
  sayGaps(done, connectionsOf(policy));
}
