import type { Candidate } from "../../host/kill/kill.js";
import { processTree } from "../../kernel/process-facts.js";
import { counted } from "../counted.js";

/**
 * Whether the end of a connection may be the end of whoever gave the command: a process that this one descends from holds it, as sshd
 * does the session's. What runs in a terminal multiplexer descends from its server; there SSH_CONNECTION tells, which sshd sets.
 *
 * @example candidates.filter(ownSessionTest())
 */
export function ownSessionTest(
  env: Readonly<Record<string, string | undefined>> = process.env,
): (candidate: Candidate) => boolean {
  const parents = ancestors();
  const session = env["SSH_CONNECTION"];
  return ({ connection: { processes, local, remote } }) =>
    processes.some(({ pid }) => parents.has(pid)) ||
    session === `${remote.address} ${remote.port} ${local.address} ${local.port}`;
}

function ancestors(): Set<number> {
  const parentOf = new Map(processTree().map(({ pid, parent }) => [pid, parent]));
  const found = new Set<number>();
  // 0: the parent is none of this PID namespace's.
  for (let pid = process.ppid; pid > 0 && !found.has(pid); pid = parentOf.get(pid) ?? 0) found.add(pid);
  return found;
}

/** What there is to be said of those; `of` is how many would be ended in all. */
export function ownSessionText(own: readonly Candidate[], of: number): string {
  const holders = new Set(
    own.flatMap(({ connection }) => connection.processes.map(({ name, pid }) => `${name} (${pid})`)),
  );
  const which =
    of === own.length ? counted(of, "connection") : `${own.length} of ${counted(of, "connection")}`;
  const [is, its] = own.length === 1 ? ["is", "its end"] : ["are", "their end"];
  const held = holders.size === 0 ? "" : `, held by ${[...holders].join(", ")}`;
  return `${which} ${is} this very session's${held}: ${its} may end the session, and this command with it`;
}
