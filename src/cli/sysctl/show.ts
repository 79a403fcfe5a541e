import type { NetworkNamespace } from "../../kernel/namespaces.js";
import { type Followers, followersOf } from "../../host/sysctl/followers.js";
import { inspectSystem, type SystemView } from "../../host/sysctl/inspect.js";
import type { SysctlSource } from "../../host/sysctl/sources.js";
import { readable, type SysctlUnit } from "../../host/sysctl/values.js";
import { formatDuration } from "../../plan/duration.js";
import type { Detection } from "../../plan/model.js";
import { table, type Terminal, terminalOf, wrap } from "../output.js";
import { connectionsOf } from "./connections.js";
import { chosenNamespaces, labelOf, type NamespaceOptions } from "./namespaces.js";

export interface ShowOptions extends NamespaceOptions {
  readonly json?: boolean;
}

interface Shown {
  readonly view: SystemView;
  /** null: this machine's connections cannot be listed. */
  readonly followers: Followers | null;
}

export function run(options: ShowOptions): void {
  const namespaces = chosenNamespaces(options);
  const shown = namespaces.map(look);
  const terminal = terminalOf(process.stdout);
  process.stdout.write(
    options.json === true
      ? `${JSON.stringify(shown.map(toJson), null, 2)}\n`
      : `${shown.map((one) => describe(terminal, one, shown.length > 1)).join("\n\n")}\n`,
  );
}

function look(namespace: NetworkNamespace): Shown {
  const view = inspectSystem(namespace);
  const connections = connectionsOf(namespace);
  return {
    view,
    followers: connections === null ? null : followersOf(connections, view.system.keepalive),
  };
}

function toJson({ view, followers }: Shown): unknown {
  const { namespace, values, detection } = view;
  return {
    netns: namespace,
    values,
    detection,
    connections:
      followers === null
        ? null
        : {
            total: followers.total,
            likeSystem: followers.likeSystem.length,
            ownValues: followers.own,
            keepaliveOff: followers.off,
            unread: followers.unread,
          },
  };
}

function describe(terminal: Terminal, { view, followers }: Shown, several: boolean): string {
  const { namespace, values, system, detection } = view;
  const rows = values.map(({ name, unit, value, kernelDefault, source, meaning }) => [
    { text: name.replace("net.ipv4.", "") },
    value === kernelDefault
      ? { text: readable(unit, value) }
      : { text: readable(unit, value), style: "bold" as const },
    { text: sourceText(source, unit, kernelDefault) },
    { text: meaning },
  ]);
  return [
    ...(several ? [`In ${labelOf(namespace)}:`, ""] : []),
    table(
      terminal,
      [
        { title: "net.ipv4." },
        { title: "now", align: "right" },
        { title: "set by" },
        { title: "what it decides", shrinkTo: 20 },
      ],
      rows,
    ),
    "",
    timesText(detection),
    "",
    wrap(terminal, followersText(followers, system.keepalive)),
  ].join("\n");
}

/** How long a dead peer goes unnoticed, on a connection that decides nothing itself. */
export function timesText({
  idleMs,
  sendingMs,
  zeroWindowMs,
  zeroWindowSilentMs,
  connectingMs,
}: Detection): string {
  return [
    "A connection that sets nothing itself notices a dead peer",
    `  idle, keepalive on            after ${formatDuration(idleMs)}`,
    "  idle, keepalive off           never",
    `  data in flight                after at least ${formatDuration(sendingMs)}`,
    `  window zero, peer answers     ${zeroWindowMs === null ? "never" : `after ${formatDuration(zeroWindowMs)}`}`,
    `  window zero, peer silent      after at least ${formatDuration(zeroWindowSilentMs)}`,
    `  connecting                    after ${formatDuration(connectingMs)}`,
  ].join("\n");
}

function sourceText(source: SysctlSource, unit: SysctlUnit, kernelDefault: number): string {
  if (source.kind === "default") return "default";
  if (source.kind === "file") return `${source.path}:${source.line}`;
  const by = source.original === null ? "at run time" : "deadpeer sysctl set";
  if (source.bootValue === null) return `${by} (default ${readable(unit, kernelDefault)})`;
  const from = source.bootLine === null ? "" : ` of ${source.bootLine.path}:${source.bootLine.line}`;
  return `${by} (boot: ${readable(unit, source.bootValue)}${from})`;
}

function followersText(
  followers: Followers | null,
  keepalive: { idleMs: number; intervalMs: number; count: number },
): string {
  const never = "No sysctl switches keepalive on: the program must set SO_KEEPALIVE.";
  if (followers === null) return never;
  const { total, likeSystem, own, off, unread } = followers;
  if (total === 0) return `No connection lives here now. ${never}`;
  const times = `${formatDuration(keepalive.idleMs)} / ${formatDuration(keepalive.intervalMs)} / ${keepalive.count}`;
  const parts = [
    `${likeSystem.length} have keepalive on with the system's values (${times})`,
    `${own} with values of their own`,
    `${off} have it off`,
    ...(unread === 0 ? [] : [`${unread} could not be read`]),
  ];
  return `${total} ${total === 1 ? "connection" : "connections"}: ${parts.join(", ")}. ${never}`;
}
