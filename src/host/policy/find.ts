import { DeadpeerError } from "../../errors.js";
import { BPF_CGROUP_SETSOCKOPT, BPF_CGROUP_SOCK_OPS } from "../../kernel/bpf/abi.js";
import { attachedPrograms } from "../../kernel/bpf/cgroup-programs.js";
import { requireBpfCapabilities } from "../../kernel/bpf/errors.js";
import { openMap, readMapInfo, readValue } from "../../kernel/bpf/maps.js";
import { openProgram, readProgramInfo } from "../../kernel/bpf/programs.js";
import type { OwnedFd } from "../../kernel/fd.js";
import { allCgroups, type OpenCgroup, withCgroup } from "./cgroup.js";
import { decodeValue, type PolicyCounters, policyNames, type PolicyRecord } from "./record.js";

/** A policy as the kernel has it now. */
export interface Policy extends PolicyRecord {
  /** The kernel's number for its map; no other policy has it while the machine runs. */
  readonly id: number;
  /** Within the tree, e.g. `/system.slice/nginx.service`. */
  readonly cgroup: string;
  readonly counters: PolicyCounters;
  /** Why the last of the failed connections failed, as errno's name; null: none has. */
  readonly lastError: string | null;
  /** Whether the policy's settings also hold against what programs set later. */
  readonly holdsLater: boolean;
  /** Its programs by the kernel's numbers, as `bpftool prog` shows them; null: not attached. */
  readonly programs: { readonly established: number | null; readonly later: number | null };
}

/**
 * Every policy in the part of the cgroup tree that this process can see, whoever made it and whatever became of its maker.
 *
 * @throws DeadpeerError `permission-denied` without CAP_NET_ADMIN or CAP_SYS_ADMIN, `feature-missing` without BPF or cgroup v2.
 * @example listPolicies().find(({ cgroup }) => cgroup === "/system.slice/nginx.service")?.counters.touched
 */
export function listPolicies(): Policy[] {
  requireBpfCapabilities();
  return allCgroups().flatMap((path) => {
    try {
      return withCgroup(path, policiesOf);
    } catch (error) {
      if (error instanceof DeadpeerError && error.code === "no-cgroup") return [];
      throw error;
    }
  });
}

/**
 * The policy of a cgroup, or none. Those of cgroups around and below it are not its own.
 *
 * @throws DeadpeerError `no-cgroup`, `permission-denied`, `feature-missing`.
 */
export function policyOf(path: string): Policy | null {
  requireBpfCapabilities();
  return withCgroup(path, policiesOf)[0] ?? null;
}

/** The policies attached to one cgroup itself, in the order in which they run. */
export function policiesOf(cgroup: OpenCgroup): Policy[] {
  const established = programsByMap(cgroup, BPF_CGROUP_SOCK_OPS, policyNames.established);
  const later = programsByMap(cgroup, BPF_CGROUP_SETSOCKOPT, policyNames.later);
  const ids = new Set([...established.keys(), ...later.keys()]);
  return [...ids].flatMap((id) => {
    const read = readPolicyMap(id);
    if (read === null) return [];
    const programs = { established: established.get(id) ?? null, later: later.get(id) ?? null };
    const { record, counters, lastError } = read;
    return [
      {
        ...record,
        id,
        cgroup: cgroup.path,
        counters,
        lastError,
        holdsLater: programs.later !== null && !record.onlyUnset,
        programs,
      },
    ];
  });
}

/** Of the programs attached to a cgroup those that bear a name of ours, by the map that they refer to. */
function programsByMap({ fd }: OpenCgroup, kind: number, name: string): Map<number, number> {
  const programs = new Map<number, number>();
  for (const id of attachedPrograms(fd, kind).ids) {
    using program = openIfThere(openProgram, id);
    if (program === null) continue;
    const info = readProgramInfo(program);
    const [mapId] = info.mapIds;
    if (info.name === name && mapId !== undefined) programs.set(mapId, id);
  }
  return programs;
}

function readPolicyMap(id: number): ReturnType<typeof decodeValue> {
  using map = openIfThere(openMap, id);
  if (map === null) return null;
  const { name, valueSize } = readMapInfo(map);
  return name === policyNames.map ? decodeValue(readValue(map, valueSize)) : null;
}

/** What an id stands for; null if that went away between the question for ids and this one. */
export function openIfThere(open: (id: number) => OwnedFd, id: number): OwnedFd | null {
  try {
    return open(id);
  } catch (error) {
    if (error instanceof DeadpeerError && error.errno === "ENOENT") return null;
    throw error;
  }
}
