import type { Sight } from "../host/survey.js";

/** What could not be seen, one line each, with what would show it. */
export function gaps(sight: Sight): string[] {
  const { unread, considered, unreadBecause, unseenNamespaces, interrupted } = sight;
  const lines: string[] = [];
  if (unread > 0 && unreadBecause !== null)
    lines.push(`settings of ${unread} of ${considered} connections not read: ${unreadBecause}`);
  if (unseenNamespaces > 0)
    lines.push(
      `${unseenNamespaces} network namespaces not looked into; that needs CAP_SYS_ADMIN, run as root`,
    );
  if (interrupted)
    lines.push("connections came and went all the while: some may be missing or stand there twice");
  return lines;
}
