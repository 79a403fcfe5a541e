import { DeadpeerError } from "../../errors.js";
import { applyChanges, pendingChanges } from "../../host/sysctl/apply.js";
import { followersOf } from "../../host/sysctl/followers.js";
import { type SysctlTarget, sysctlTargets, withTargets } from "../../host/sysctl/targets.js";
import { inNamespace, type NetworkNamespace } from "../../kernel/namespaces.js";
import { readSystemDefaults } from "../../kernel/sysctl.js";
import { formatDuration } from "../../plan/duration.js";
import { describeSettings } from "../../plan/planner.js";
import { retries2Ms, retries2Within, rfc1122LeastMs } from "../../plan/retries2.js";
import { note } from "../note.js";
import { connectionsOf } from "./connections.js";
import { interruptible } from "../interrupt.js";
import { chosenNamespaces, type NamespaceOptions } from "./namespaces.js";
import { report, type Step } from "./set-report.js";
import { readWish, type Wish, type WishOptions } from "./wish.js";

export interface SetOptions extends WishOptions, NamespaceOptions {
  readonly undo?: boolean;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

export async function run(options: SetOptions): Promise<void> {
  const wish = readWish(options);
  if (options.undo === true) {
    if (wish !== null)
      throw new DeadpeerError("bad-option", "--undo puts back what was there; it takes no values");
    await (await import("./undo.js")).run(options);
    return;
  }
  if (wish === null)
    throw new DeadpeerError(
      "bad-option",
      "nothing to set: give --detect 35s, or some of --idle, --interval, --count and --retries2",
    );
  await runSet(options, wish);
}

async function runSet(options: SetOptions, wish: Wish): Promise<void> {
  const targets = sysctlTargets(wish.values);
  const steps = chosenNamespaces(options).map((namespace) => prepare(namespace, targets));
  const dryRun = options.dryRun === true;
  if (!dryRun)
    await interruptible((signal) =>
      applyChanges(
        steps.flatMap(({ changes }) => changes),
        { signal },
      ),
    );

  const reports = steps.map((step) => report(step, targets, dryRun));
  if (options.json === true) {
    process.stdout.write(
      `${JSON.stringify(
        reports.map(({ json }) => json),
        null,
        2,
      )}\n`,
    );
  } else {
    const several = steps.length > 1;
    process.stdout.write(
      `${reports.map(({ text, label }) => (several ? `In ${label}:\n${text}` : text)).join("\n\n")}\n`,
    );
  }
  remarks(options, wish, targets, steps);
}

function prepare(namespace: NetworkNamespace, targets: readonly SysctlTarget[]): Step {
  const before = inNamespace(namespace, readSystemDefaults);
  const connections = connectionsOf(namespace);
  return {
    namespace,
    before,
    changes: pendingChanges([namespace], targets),
    connections,
    candidates: connections === null ? [] : followersOf(connections, before.keepalive).likeSystem,
  };
}

/** What a person should know besides, on stderr. */
function remarks(
  options: SetOptions,
  { userTimeoutMs, values }: Wish,
  targets: readonly SysctlTarget[],
  steps: readonly Step[],
): void {
  const system = steps[0]?.before;
  if (system === undefined) return;
  const after = withTargets(system, targets);
  if (userTimeoutMs > 0 && values.retries2 === undefined) {
    const retries2 = retries2Within(userTimeoutMs, system);
    note(
      `with data in flight the plan needs a user timeout of ${formatDuration(userTimeoutMs)}, which no sysctl sets; --retries2 ${retries2} comes nearest (at least ${formatDuration(retries2Ms(retries2, system))})`,
    );
  }
  if (values.retries2 !== undefined && retries2Ms(values.retries2, after) < rfc1122LeastMs)
    note(
      "--retries2 this low ends connections sooner than the 100 s that RFC 1122 §4.2.3.5 advises, in every program",
    );
  if (options.detect !== undefined) {
    const { warnings } = describeSettings(
      { keepalive: after.keepalive, userTimeoutMs: 0 },
      { system: after, ...(options.path === undefined ? {} : { path: options.path }) },
    );
    for (const { message } of warnings) note(message);
  }
  if (options.dryRun !== true && steps.some(({ changes }) => changes.length > 0))
    note("until the next boot, or: deadpeer sysctl set --undo; to keep it: deadpeer sysctl persist");
}
