import { DeadpeerError } from "../../errors.js";
import { nearest } from "../nearest.js";
import type { Settings } from "../settings.js";
import { c } from "./c.js";
import { mysql, postgres, redis } from "./databases.js";
import { go } from "./go.js";
import { java } from "./java.js";
import { node } from "./node.js";
import { macos, windows } from "./other-systems.js";
import { envoy, haproxy, nginx } from "./proxies.js";
import { python } from "./python.js";
import { roundSettings } from "./rounding.js";
import { rust } from "./rust.js";
import type { Snippet, SnippetTarget, TargetDefinition } from "./snippet.js";
import { ssh, sshd } from "./ssh.js";
import { docker, kubernetes, sysctl } from "./system.js";
import { systemd } from "./systemd.js";

export type { Snippet, SnippetTarget } from "./snippet.js";

const definitions: readonly TargetDefinition[] = [
  node,
  go,
  java,
  python,
  rust,
  c,
  nginx,
  haproxy,
  envoy,
  postgres,
  mysql,
  redis,
  sshd,
  ssh,
  systemd,
  docker,
  kubernetes,
  windows,
  macos,
  sysctl,
];

/** Everything there is a snippet for, in the order people are shown it. */
export const snippetTargets: readonly SnippetTarget[] = definitions.map(({ id, title, aliases, needs }) => ({
  id,
  title,
  aliases,
  needs,
}));

const byName = new Map(
  definitions.flatMap((definition) =>
    [definition.id, ...definition.aliases].map((name) => [name, definition]),
  ),
);

/**
 * The lines that give a program these settings, in its own words and units, and what it cannot do. Times are rounded so that
 * they notice no later than asked.
 *
 * @param target an id or alias of `snippetTargets`, in any case.
 * @throws DeadpeerError `unknown-target`, naming the nearest that there is.
 * @example snippetFor("redis", { keepalive: { idleMs: 20_000, intervalMs: 5_000, count: 3 }, userTimeoutMs: 35_000 }).text
 */
export function snippetFor(target: string, settings: Settings): Snippet {
  const definition = byName.get(target.trim().toLowerCase());
  if (definition === undefined)
    throw new DeadpeerError(
      "unknown-target",
      `there is no snippet for "${target}"; the nearest is ${nearest(target, byName.keys())}, and there are: ${definitions.map(({ id }) => id).join(", ")}`,
    );
  const rounded = roundSettings(settings);
  const { text, notes } = definition.write(rounded);
  const rtoMax =
    rounded.rtoMaxMs === undefined || definition.setsRtoMax
      ? []
      : [`TCP_RTO_MAX_MS (${rounded.rtoMaxMs} ms) has no equivalent here`];
  return {
    target: definition.id,
    text,
    notes: [`needs ${definition.needs}`, ...rounded.notes, ...rtoMax, ...notes],
  };
}
