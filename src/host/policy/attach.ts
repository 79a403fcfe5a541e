import { DeadpeerError } from "../../errors.js";
import { BPF_CGROUP_SETSOCKOPT, BPF_CGROUP_SOCK_OPS } from "../../kernel/bpf/abi.js";
import { attachedPrograms, attachProgram, detachProgram } from "../../kernel/bpf/cgroup-programs.js";
import { loadProgram, openProgram, type ProgramSource } from "../../kernel/bpf/programs.js";
import type { OwnedFd } from "../../kernel/fd.js";
import { cgroupsAround, noCgroup, type OpenCgroup, withCgroup } from "./cgroup.js";
import { openIfThere, type Policy } from "./find.js";

/**
 * Loads a program and attaches it, beside whatever others have attached.
 *
 * @throws DeadpeerError `no-cgroup` if the cgroup was removed meanwhile; what loadProgram and attachProgram throw.
 */
export function attachNew(cgroup: OpenCgroup, kind: number, source: ProgramSource): void {
  refuseToSilenceOthers(cgroup, kind);
  using program = loadProgram(source);
  try {
    attachProgram(cgroup.fd, kind, program);
  } catch (error) {
    const { errno = "" } = error as Partial<DeadpeerError>;
    if (["ENOENT", "ENODEV"].includes(errno)) throw noCgroup(cgroup.path, error);
    throw error;
  }
}

/**
 * A program that was attached without BPF_F_ALLOW_MULTI admits no other beside it; and where it may be overridden, one of a cgroup
 * below puts it out of action there (compute_effective_progs).
 */
function refuseToSilenceOthers(cgroup: OpenCgroup, kind: number): void {
  const check = ({ fd, path }: OpenCgroup): void => {
    const { ids, shared } = attachedPrograms(fd, kind);
    if (!shared)
      throw new DeadpeerError(
        "permission-denied",
        `another program (bpftool prog show id ${ids.join(", ")}) is attached to the cgroup ${path} and admits none beside it or below; it would have to be attached with BPF_F_ALLOW_MULTI`,
      );
  };
  check(cgroup);
  for (const path of cgroupsAround(cgroup.path)) withCgroup(path, check);
}

/**
 * Takes a policy's programs from its cgroup.
 *
 * @returns false if they were gone already.
 */
export function detachPolicy({ fd }: OpenCgroup, { programs }: Policy): boolean {
  const kinds = [
    [BPF_CGROUP_SETSOCKOPT, programs.later],
    [BPF_CGROUP_SOCK_OPS, programs.established],
  ] as const;
  let detached = false;
  for (const [kind, id] of kinds) {
    if (id === null) continue;
    using program: OwnedFd | null = openIfThere(openProgram, id);
    if (program !== null && detachProgram(fd, kind, program)) detached = true;
  }
  return detached;
}
