import { existsSync } from "node:fs";
import { join } from "node:path";
import { DeadpeerError } from "../../errors.js";
import { cgroupsBelow, isRootCgroup, processesIn } from "../../kernel/cgroup-changes.js";
import { cgroupMount } from "../../kernel/cgroups.js";
import {
  hidesDescriptors,
  type Kin,
  processCgroupPaths,
  type ProcessFacts,
  processFacts,
  processTree,
  sharesNamespace,
  withExecutable,
} from "../../kernel/process-facts.js";
import { processOfThread, processStartTicks } from "../../kernel/processes.js";
import { requireLinux } from "../../kernel/platform.js";
import type { Connection } from "../connection.js";
import { parseFilter } from "../filter.js";
import { policyOf } from "../policy/find.js";
import { HostWalk } from "../survey.js";
import { seenConnections } from "./connections.js";
import { readElf } from "./elf.js";
import type { CgroupFacts, ProgramFacts } from "./facts.js";
import { identifyProgram } from "./program.js";
import { residenceOf } from "../residence.js";
import { startCommand } from "./start-command.js";

/**
 * Looks at a running program: what it is, where it lives, what its connections have. Nothing is changed. What may not be seen is
 * left out and said in `unseen`.
 *
 * @param wantedMs the time within which its connections shall notice a dead peer.
 * @throws DeadpeerError `no-process` for one that does not exist or ends meanwhile; `bad-option` for a thread of the kernel's own and
 *   for this process; `ffi-unavailable`, `platform-unsupported`.
 * @example examineProgram(4711, 35_000).program.name // "redis-server"
 */
export function examineProgram(pid: number, wantedMs: number): ProgramFacts {
  requireLinux("processes");
  const facts = factsOf(pid);
  const unseen: string[] = [];
  const ownUid = process.geteuid?.() ?? 0;
  if (facts.executable === null)
    unseen.push(`the executable of process ${pid} may not be read; that needs CAP_SYS_PTRACE, run as root`);
  const elf = facts.executable === null ? null : withExecutable(pid, readElf);
  const { unified, others } = processCgroupPaths(pid);
  const family = familyOf(facts, unified);
  const netns = sharesNamespace(pid, "net") === false ? `/proc/${pid}/ns/net` : null;
  const { connections, hidden } = connectionsOf(family, netns);
  if (hidden !== null) unseen.push(`its connections, or some: ${hidden}`);
  const examined = {
    pid,
    uid: facts.uid,
    isForeign: facts.uid !== ownUid,
    processName: facts.name,
    program: identifyProgram({ ...facts, elf }),
    executable: facts.executable,
    elf,
    family,
    residence: residenceOf(unified === null ? others : [unified, ...others]),
    cgroup: cgroupOf(unified, family, unseen),
    netns,
    command: sharesNamespace(pid, "mnt") === true ? startCommand(facts) : null,
    connections: seenConnections(connections, wantedMs),
    hidesConnections: hidden !== null,
    unseen,
  };
  // Its number may have become another's.
  if (processStartTicks(pid) !== facts.startTicks) throw ended(pid);
  return examined;
}

function factsOf(pid: number): ProcessFacts {
  const facts = processFacts(pid);
  if (facts === null) throw ended(pid);
  if (facts.isKernelThread)
    throw new DeadpeerError(
      "bad-option",
      `${pid} (${facts.name}) is a thread of the kernel's own: it holds no connections that anybody could set`,
    );
  if (pid === process.pid) throw new DeadpeerError("bad-option", `${pid} is this deadpeer itself`);
  const whole = processOfThread(pid);
  if (whole !== null && whole !== pid)
    throw new DeadpeerError("bad-option", `${pid} is a thread of process ${whole}; ask for that one`);
  return facts;
}

function ended(pid: number): DeadpeerError {
  return new DeadpeerError("no-process", `there is no process ${pid}, or it has just ended`);
}

/** A server and its workers are one program, whichever of them was asked for. */
function familyOf({ pid }: ProcessFacts, cgroup: string | null): number[] {
  const tree = new Map(processTree().map((kin) => [kin.pid, kin]));
  const own = tree.get(pid);
  if (own === undefined) throw ended(pid);
  const isKin = (one: Kin | undefined): one is Kin =>
    one !== undefined &&
    one.pid > 1 &&
    one.pid !== process.pid &&
    one.name === own.name &&
    processCgroupPaths(one.pid).unified === cgroup;
  let eldest = own;
  for (let parent = tree.get(own.parent); isKin(parent); parent = tree.get(eldest.parent)) eldest = parent;
  const family = new Set([eldest.pid, pid]);
  const kin = [...tree.values()].filter(isKin);
  // Grows while it is walked.
  for (const member of family)
    for (const { pid: child, parent } of kin) if (parent === member) family.add(child);
  return [...family].sort((a, b) => a - b);
}

function cgroupOf(path: string | null, family: readonly number[], unseen: string[]): CgroupFacts | null {
  if (path === null) return null;
  const directory = mountedAt(path);
  if (directory === null) return null;
  const inside = [...cgroupsBelow(directory)].flatMap((one) => processesIn(one) ?? []);
  let policy: CgroupFacts["policy"] = null;
  try {
    policy = policyOf(path);
  } catch (error) {
    if (!(error instanceof DeadpeerError)) throw error;
    unseen.push(`whether its cgroup has a policy already: ${error.message}`);
  }
  return {
    path,
    isRoot: isRootCgroup(directory),
    others: inside.filter((pid) => !family.includes(pid)).length,
    policy,
  };
}

/** Where the cgroup is in the part of the tree that is mounted here; null: there is no such part. */
function mountedAt(path: string): string | null {
  try {
    const directory = join(cgroupMount(), path);
    return existsSync(join(directory, "cgroup.procs")) ? directory : null;
  } catch (error) {
    if (error instanceof DeadpeerError && error.code === "feature-missing") return null;
    throw error;
  }
}

function connectionsOf(
  family: readonly number[],
  netns: string | null,
): { connections: Connection[]; hidden: string | null } {
  const filter = parseFilter({ listeners: true, ...(netns === null ? {} : { netns: [netns] }) });
  try {
    // Of a family the younger ones come and go.
    const pids = family.filter((pid) => existsSync(`/proc/${pid}`));
    if (pids.length === 0) return { connections: [], hidden: null };
    const walk = new HostWalk({ filter: { ...filter, pids } });
    const connections = [...walk];
    const { unread, unreadBecause } = walk.sight();
    const hidden = pids.some(hidesDescriptors)
      ? "other users' processes may not be looked into; that needs CAP_SYS_PTRACE, run as root"
      : unread > 0
        ? unreadBecause
        : null;
    return { connections, hidden };
  } catch (error) {
    if (!(error instanceof DeadpeerError)) throw error;
    if (error.code !== "permission-denied" && error.code !== "no-namespace" && error.code !== "bad-filter")
      throw error;
    return { connections: [], hidden: error.message };
  }
}
