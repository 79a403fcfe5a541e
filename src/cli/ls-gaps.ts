import type { Sight } from "../host/survey.js";
import { type Answer, have } from "../kernel/capabilities.js";
import { counted } from "./counted.js";

/**
 * What could not be seen, one line each, with what would show it.
 *
 * @param mayLook whether this process has CAP_SYS_PTRACE: what hides from that, no privilege shows.
 */
export function gaps(sight: Sight, mayLook: Answer = have("CAP_SYS_PTRACE")): string[] {
  const { unread, considered, unreadBecause, unseenNamespaces, hidingProcesses, interrupted } = sight;
  const lines: string[] = [];
  if (unread > 0 && unreadBecause !== null)
    lines.push(`settings of ${unread} of ${counted(considered, "connection")} not read: ${unreadBecause}`);
  if (unseenNamespaces > 0)
    lines.push(
      `${counted(unseenNamespaces, "network namespace")} not looked into; that needs CAP_SYS_ADMIN, run as root`,
    );
  if (hidingProcesses > 0) lines.push(hidingText(hidingProcesses, "connections", mayLook));
  if (interrupted)
    lines.push("connections came and went all the while: some may be missing or stand there twice");
  return lines;
}

/**
 * What it means that processes do not show their network namespace. As a rule others that are in it show it, and nothing is missing.
 *
 * @param what would be missing otherwise, e.g. `connections`.
 */
export function hidingText(
  processes: number,
  what: string,
  mayLook: Answer = have("CAP_SYS_PTRACE"),
): string {
  const [hide, theirs] = processes === 1 ? ["hides its", "it alone is"] : ["hide their", "they alone are"];
  const hidden = `${counted(processes, "process", "processes")} ${hide} network namespace`;
  return mayLook === "no"
    ? `${hidden}: ${what} of one that ${theirs} in are missing; that needs CAP_SYS_PTRACE, run as root`
    : `${hidden} although this process has CAP_SYS_PTRACE: ${what} of one that ${theirs} in are missing`;
}
