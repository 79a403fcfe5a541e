import { formatDuration } from "../duration.js";
import { detectionTimes } from "../model.js";
import { type KeepaliveSeconds, keepaliveAlone, type RoundedSettings } from "./rounding.js";

/** What `plan --for` prints. */
export interface Snippet {
  /** The target's id. */
  readonly target: string;
  /** The lines to paste, with one comment that says what they do. */
  readonly text: string;
  /** What was rounded, what version is needed, what the program cannot do. */
  readonly notes: readonly string[];
}

/** A program, language or system that there is a snippet for. */
export interface SnippetTarget {
  readonly id: string;
  readonly title: string;
  /** Other names that mean the same. */
  readonly aliases: readonly string[];
  /** What the snippet needs, such as the first version that understands it. */
  readonly needs: string;
}

export interface TargetDefinition extends SnippetTarget {
  /** The snippet also carries TCP_RTO_MAX_MS when the settings do. */
  readonly setsRtoMax?: true;
  readonly write: (settings: RoundedSettings) => { readonly text: string; readonly notes: readonly string[] };
}

/** The one comment a snippet carries, where the program sets keepalive and user timeout alike. */
export function purpose(settings: RoundedSettings): string {
  const { keepalive, userTimeoutMs } = settings;
  if (keepalive === null)
    return userTimeoutMs === 0
      ? "Keepalive off: an idle connection never notices a dead peer"
      : `Gives up on data unacknowledged for ${formatDuration(userTimeoutMs)}; an idle connection never notices a dead peer`;
  const { idleS, intervalS, count } = keepalive;
  const { idleMs } = detectionTimes({
    keepalive: { idleMs: idleS * 1_000, intervalMs: intervalS * 1_000, count },
    userTimeoutMs,
  });
  if (userTimeoutMs === 0)
    return `Notices a dead peer within ${formatDuration(idleMs)} while the connection is idle`;
  return idleMs === userTimeoutMs
    ? `Notices a dead peer within ${formatDuration(idleMs)}`
    : `Notices a dead peer within ${formatDuration(idleMs)} while idle, ${formatDuration(userTimeoutMs)} while sending`;
}

/** The same for programs that know no user timeout. */
export function keepalivePurpose(settings: RoundedSettings): string {
  return purpose({ ...settings, keepalive: keepaliveAlone(settings), userTimeoutMs: 0 });
}

/** What a target without a user timeout does with one: says so, and how the count stands in for it. */
export function withoutUserTimeout(
  settings: RoundedSettings,
  who: string,
): { readonly keepalive: KeepaliveSeconds | null; readonly notes: readonly string[] } {
  const keepalive = keepaliveAlone(settings);
  if (settings.userTimeoutMs === 0) return { keepalive, notes: [] };
  const notes = [
    `${who} cannot set the user timeout: with data in flight the system's tcp_retries2 decides, about 15 minutes as it comes`,
  ];
  if (keepalive !== null && keepalive.count !== settings.keepalive?.count)
    notes.push(
      `count is ${keepalive.count} in place of ${settings.keepalive?.count}: without the user timeout the count decides when to give up`,
    );
  return { keepalive, notes };
}

/** A duration in seconds where it is whole, else in milliseconds, for programs that take both: `35s`, `1500ms`. */
export function secondsOrMs(ms: number): string {
  return ms % 1_000 === 0 ? `${ms / 1_000}s` : `${ms}ms`;
}

/** Joins lines, leaving out those that are absent. */
export function lines(...parts: readonly (string | null | readonly string[])[]): string {
  return parts
    .flat()
    .filter((line) => line !== null)
    .join("\n");
}
