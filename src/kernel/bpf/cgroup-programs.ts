import { constants } from "node:os";
import { errnoName } from "../errno.js";
import type { OwnedFd } from "../fd.js";
import { BPF_F_ALLOW_MULTI, BPF_PROG_ATTACH, BPF_PROG_DETACH, BPF_PROG_QUERY } from "./abi.js";
import { bpf, BpfAttributes, tryBpf } from "./call.js";
import { bpfError } from "./errors.js";

/** The programs of one kind that are attached to one cgroup. */
export interface CgroupPrograms {
  /** In the order in which they run. */
  readonly ids: readonly number[];
  /** Whether others may be attached beside them; with none attached, true. */
  readonly shared: boolean;
}

/**
 * Attaches a program to a cgroup, behind those that are there. It then stays until it is detached or the cgroup is removed, whatever
 * becomes of this process.
 *
 * @param cgroup a descriptor of the cgroup's directory.
 * @param kind BPF_CGROUP_…
 * @throws DeadpeerError as `bpf`.
 */
export function attachProgram(cgroup: number, kind: number, program: OwnedFd): void {
  const attributes = new BpfAttributes()
    .word(0, cgroup)
    .word(4, program.fd)
    .word(8, kind)
    .word(12, BPF_F_ALLOW_MULTI);
  bpf("BPF_PROG_ATTACH", BPF_PROG_ATTACH, attributes);
}

/**
 * Takes a program from a cgroup.
 *
 * @returns false if it was not attached there (any more).
 * @throws DeadpeerError as `bpf`.
 */
export function detachProgram(cgroup: number, kind: number, program: OwnedFd): boolean {
  const attributes = new BpfAttributes().word(0, cgroup).word(4, program.fd).word(8, kind);
  const result = tryBpf(BPF_PROG_DETACH, attributes);
  if (result >= 0) return true;
  // A cgroup that is being removed has lost its programs already (ENODEV).
  if (["ENOENT", "ENODEV"].includes(errnoName(-result))) return false;
  throw bpfError(-result, "BPF_PROG_DETACH");
}

const idLimit = 256;

/**
 * The programs that are attached to a cgroup itself, not those of the ones around it.
 *
 * @throws DeadpeerError as `bpf`.
 */
export function attachedPrograms(cgroup: number, kind: number): CgroupPrograms {
  const ids = Buffer.alloc(idLimit * 4);
  const attributes = new BpfAttributes().word(0, cgroup).word(4, kind).pointer(16, ids).word(24, idLimit);
  const result = tryBpf(BPF_PROG_QUERY, attributes);
  if (result < 0) {
    // A kernel that does not know this kind of attachment has none, nor has a cgroup that was removed meanwhile.
    if (-result === constants.errno.EINVAL || -result === constants.errno.ENOENT)
      return { ids: [], shared: true };
    throw bpfError(-result, "BPF_PROG_QUERY");
  }
  const count = attributes.bytes.readUInt32LE(24);
  return {
    ids: Array.from({ length: count }, (_, index) => ids.readUInt32LE(index * 4)),
    shared: count === 0 || (attributes.bytes.readUInt32LE(12) & BPF_F_ALLOW_MULTI) !== 0,
  };
}
