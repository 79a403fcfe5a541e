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
  if (hidingProcesses > 0) lines.push(hidingText(hidingProcesses, mayLook));
  if (interrupted)
    lines.push("connections came and went all the while: some may be missing or stand there twice");
  return lines;
}

/** As a rule they are in a namespace that others show as well, and nothing is missing. */
function hidingText(processes: number, mayLook: Answer): string {
  const [hide, theirs] = processes === 1 ? ["hides its", "it alone is"] : ["hide their", "they alone are"];
  const what = `${counted(processes, "process", "processes")} ${hide} network namespace`;
  return mayLook === "no"
    ? `${what}: connections of one that ${theirs} in are missing; that needs CAP_SYS_PTRACE, run as root`
    : `${what} although this process has CAP_SYS_PTRACE: connections of one that ${theirs} in are missing`;
}
