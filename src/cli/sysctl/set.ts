import { DeadpeerError } from "../../errors.js";
import type { Connection } from "../../host/connection.js";
import { applyChanges, pendingChanges, type SysctlChange } from "../../host/sysctl/apply.js";
import { followersOf, lastTickMs } from "../../host/sysctl/followers.js";
import { nearestRetries2, type SysctlTarget, sysctlTargets } from "../../host/sysctl/targets.js";
import { planUndo, undo, type UndoPlan } from "../../host/sysctl/undo.js";
import { readable, sysctlFacts } from "../../host/sysctl/values.js";
import { inNamespace, type NetworkNamespace } from "../../kernel/namespaces.js";
import { readSystemDefaults } from "../../kernel/sysctl.js";
import { formatDuration } from "../../plan/duration.js";
import { detectionTimes } from "../../plan/model.js";
import { describeSettings } from "../../plan/planner.js";
import type { SystemDefaults } from "../../plan/settings.js";
import { terminalOf, wrap } from "../output.js";
import { connectionsOf } from "./connections.js";
import { interruptible } from "./interrupt.js";
import { chosenNamespaces, labelOf, type NamespaceOptions, readNamespaces } from "./namespaces.js";
import { readWish, type Wish, type WishOptions } from "./wish.js";
import { note } from "../note.js";

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
    await runUndo(options);
    return;
  }
  if (wish === null)
    throw new DeadpeerError(
      "bad-option",
      "nothing to set: give --detect 35s, or some of --idle, --interval, --count and --retries2",
    );
  await runSet(options, wish);
}

/** What is about to happen in one namespace, and who lives in it. */
interface Step {
  readonly namespace: NetworkNamespace;
  readonly before: SystemDefaults;
  readonly changes: readonly SysctlChange[];
  /** Those that may follow: keepalive on, with exactly the values of before. */
  readonly candidates: readonly Connection[];
  /** null: not known. */
  readonly connections: readonly Connection[] | null;
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

function report(
  step: Step,
  targets: readonly SysctlTarget[],
  dryRun: boolean,
): { json: unknown; text: string; label: string } {
  const { namespace, before, changes, candidates, connections } = step;
  const after = withTargets(before, targets);
  const was = detectionTimes({ keepalive: before.keepalive, userTimeoutMs: 0 }, before);
  const is = detectionTimes({ keepalive: after.keepalive, userTimeoutMs: 0 }, after);
  const following = dryRun || changes.length === 0 ? null : followed(step, after);
  return {
    label: labelOf(namespace),
    json: {
      netns: namespace,
      applied: !dryRun,
      changes: changes.map(({ name, before, after }) => ({ name, before, after })),
      detection: { before: was, after: is },
      connections:
        connections === null
          ? null
          : { withSystemValues: candidates.length, following: following?.length ?? null },
    },
    text: [
      ...(changes.length === 0
        ? ["Every value is as asked for already; nothing was written."]
        : changesText(changes)),
      `A dead peer goes unnoticed ${dryRun ? "(as it would be)" : ""}`.trimEnd(),
      `  idle, keepalive on   ${arrow(was.idleMs, is.idleMs, "")}`,
      `  data in flight       ${arrow(was.sendingMs, is.sendingMs, "at least ")}`,
      ...(connections === null || changes.length === 0
        ? []
        : [wrap(terminalOf(process.stdout), whoText(candidates.length, following))]),
    ].join("\n"),
  };
}

function changesText(changes: readonly SysctlChange[]): string[] {
  return changes.map(({ name, before, after }) => {
    const unit = sysctlFacts.find((fact) => fact.name === name)?.unit ?? "count";
    return `${name.padEnd(30)} ${readable(unit, before)} → ${readable(unit, after)}`;
  });
}

function arrow(before: number | null, after: number | null, prefix: string): string {
  const is = `${prefix}${formatDuration(after)}`;
  return before === after ? `${is}, as before` : `${prefix}${formatDuration(before)} → ${is}`;
}

function withTargets(system: SystemDefaults, targets: readonly SysctlTarget[]): SystemDefaults {
  const value = (name: string): number | undefined =>
    targets.find((target) => target.name === `net.ipv4.${name}`)?.value;
  const ms = (name: string, otherwise: number): number => {
    const s = value(name);
    return s === undefined ? otherwise : s * 1_000;
  };
  return {
    ...system,
    keepalive: {
      idleMs: ms("tcp_keepalive_time", system.keepalive.idleMs),
      intervalMs: ms("tcp_keepalive_intvl", system.keepalive.intervalMs),
      count: value("tcp_keepalive_probes") ?? system.keepalive.count,
    },
    retries2: value("tcp_retries2") ?? system.retries2,
  };
}

/**
 * The live connections that follow: a socket that was given no times reports the system's (keepalive_time_when and its like), so
 * its own reading has changed with the sysctl.
 */
function followed({ namespace, candidates }: Step, after: SystemDefaults): readonly Connection[] {
  const cookies = new Set(candidates.map(({ cookie }) => cookie));
  const now = connectionsOf(namespace) ?? [];
  return followersOf(now, after.keepalive).likeSystem.filter(({ cookie }) => cookies.has(cookie));
}

function whoText(candidates: number, following: readonly Connection[] | null): string {
  if (following === null)
    return `Live connections with keepalive on and the values of before: ${candidates}; those that did not set them themselves would follow.`;
  const tickMs = lastTickMs(following);
  const when =
    tickMs === null
      ? ""
      : `, at their next keepalive tick; those ticks are set already, the last in ${formatDuration(tickMs)}`;
  return `New connections have the values at once. Live connections that follow: ${following.length}${when}.`;
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
    const { retries2, sendingMs } = nearestRetries2(userTimeoutMs, system);
    note(
      `with data in flight the plan needs a user timeout of ${formatDuration(userTimeoutMs)}, which no sysctl sets; --retries2 ${retries2} comes nearest (at least ${formatDuration(sendingMs)})`,
    );
  }
  if (values.retries2 !== undefined && values.retries2 < 8)
    note("--retries2 below 8 ends connections sooner than the 100 s of RFC 1122 §4.2.3.5, in every program");
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

async function runUndo(options: SetOptions): Promise<void> {
  const plan = planUndo(readNamespaces(options));
  if (options.dryRun !== true) await interruptible((signal) => undo(plan, { signal }));
  for (const { name, now, written, original, namespacePath } of plan.changedSince)
    note(
      `${name} in ${namespacePath} is ${now}, not the ${written} that deadpeer wrote: somebody has changed it since, so it stays; before deadpeer it was ${original}`,
    );
  if (plan.unseen.length > 0)
    note(
      `${plan.unseen.length} values are in network namespaces that have gone or cannot be seen from here; they stay in the journal`,
    );
  if (options.json === true) process.stdout.write(`${JSON.stringify(undoJson(plan, options), null, 2)}\n`);
  else process.stdout.write(`${undoText(plan)}\n`);
}

function undoJson({ changes, changedSince, gone, unseen }: UndoPlan, options: SetOptions): unknown {
  return {
    applied: options.dryRun !== true,
    changes: changes.map(({ namespace, name, before, after }) => ({ netns: namespace, name, before, after })),
    changedSince,
    gone,
    unseen,
  };
}

function undoText({ changes, gone }: UndoPlan): string {
  const lines = changes.map((change) => `${changesText([change]).join("")}  (${labelOf(change.namespace)})`);
  if (gone.length > 0)
    lines.push(`${gone.length} values went with their network namespaces; there is nothing to put back.`);
  return lines.length === 0 ? "deadpeer has changed nothing here that could be put back." : lines.join("\n");
}
