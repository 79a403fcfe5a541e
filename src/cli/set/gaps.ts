import { asksForProcesses, type ConnectionFilter } from "../../host/filter.js";
import type { Repair } from "../../host/repair/repair.js";
import { counted } from "../counted.js";
import { exitStatus } from "../exit.js";
import { gaps } from "../ls-gaps.js";
import { note } from "../note.js";

/** More than so many processes are counted. */
const namedAtMost = 8;

/**
 * Says what could not be changed, and which privilege is missing or what the kernel lacks; leaves `missing` in process.exitCode if
 * anything is.
 */
export function sayGaps({ connections, hidden, sight }: Repair, filter: ConnectionFilter | null): void {
  // What could not be read could not be changed either, and each connection says so.
  for (const line of gaps({ ...sight, unread: 0 })) note(line);
  const denied = connections.filter(({ outcome }) => outcome === "denied");
  const known = denied.flatMap(({ connection }) => connection.processes);
  const asked = filter !== null && asksForProcesses(filter) ? hidden : [];
  const names = [...new Set([...known, ...asked].map(({ name, pid }) => `${name} (${pid})`))];
  if (names.length > 0) note(`${listed(names)}: ${known.length > 0 ? changing : looking}`);
  const unknown = denied.filter(({ connection }) => connection.processes.length === 0).length;
  if (unknown > 0) note(`${counted(unknown, "connection")} of other users' processes: ${changing}`);
  const refused = connections.filter(({ outcome }) => outcome === "refused");
  for (const reason of new Set(refused.map((one) => one.reason)))
    note(
      `${counted(refused.filter((one) => one.reason === reason).length, "connection")} refused: ${reason}`,
    );
  if (names.length + unknown + refused.length > 0) process.exitCode = exitStatus.missing;
}

const looking = "what they hold cannot be seen, and stays as it is; that needs CAP_SYS_PTRACE, run as root";
const changing =
  "their sockets stay as they are; changing them needs CAP_SYS_PTRACE over the process, run as root";

function listed(names: readonly string[]): string {
  const shown = names.slice(0, namedAtMost);
  const more = names.length - shown.length;
  return `${shown.join(", ")}${more === 0 ? "" : ` and ${more} more`}`;
}
