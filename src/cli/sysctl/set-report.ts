import type { Connection } from "../../host/connection.js";
import type { SysctlChange } from "../../host/sysctl/apply.js";
import { followersOf, lastTickMs } from "../../host/sysctl/followers.js";
import { type SysctlTarget, withTargets } from "../../host/sysctl/targets.js";
import type { NetworkNamespace } from "../../kernel/namespaces.js";
import { formatDuration } from "../../plan/duration.js";
import { detectionTimes } from "../../plan/model.js";
import type { SystemDefaults } from "../../plan/settings.js";
import { terminalOf, wrap } from "../output.js";
import { changesText } from "./changes-text.js";
import { connectionsOf } from "./connections.js";
import { labelOf } from "./namespaces.js";

/** What is about to happen in one namespace, and who lives in it. */
export interface Step {
  readonly namespace: NetworkNamespace;
  readonly before: SystemDefaults;
  readonly changes: readonly SysctlChange[];
  /** Those that may follow: keepalive on, with exactly the values of before. */
  readonly candidates: readonly Connection[];
  /** null: not known. */
  readonly connections: readonly Connection[] | null;
}

/** What was done, or would be, in one namespace. */
export interface StepReport {
  readonly label: string;
  readonly json: unknown;
  readonly text: string;
}

export function report(step: Step, targets: readonly SysctlTarget[], dryRun: boolean): StepReport {
  const { namespace, before, changes, candidates, connections } = step;
  const after = withTargets(before, targets);
  const was = detectionTimes({ keepalive: before.keepalive, userTimeoutMs: 0 }, before);
  const is = detectionTimes({ keepalive: after.keepalive, userTimeoutMs: 0 }, after);
  const keepaliveChanges = changes.some(({ name }) => name.includes("keepalive"));
  const following = dryRun || !keepaliveChanges ? null : followed(step, after);
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
      ...(connections === null || !keepaliveChanges
        ? []
        : [wrap(terminalOf(process.stdout), whoText(candidates.length, following))]),
      ...(changes.some(({ name }) => name === "net.ipv4.tcp_retries2")
        ? ["Data in flight: every socket without a user timeout follows at its next retransmission."]
        : []),
    ].join("\n"),
  };
}

function arrow(before: number | null, after: number | null, prefix: string): string {
  const is = `${prefix}${formatDuration(after)}`;
  return before === after ? `${is}, as before` : `${prefix}${formatDuration(before)} → ${is}`;
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
