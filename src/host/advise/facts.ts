import type { Executable } from "../../kernel/process-facts.js";
import type { ConnectionsSeen } from "./connections.js";
import type { ElfFacts } from "./elf.js";
import type { PolicyRequest } from "../policy/request.js";
import type { ProgramIdentity } from "./program.js";
import type { Residence } from "../residence.js";

/** A running program, as far as it could be looked at. */
export interface ProgramFacts {
  readonly pid: number;
  readonly uid: number;
  /** It is another user's than this process. */
  readonly isForeign: boolean;
  /** As `ps -o comm` shows it. */
  readonly processName: string;
  readonly program: ProgramIdentity;
  /** null: it may not be seen. */
  readonly executable: Executable | null;
  /** null: its file could not be read, or is none. */
  readonly elf: ElfFacts | null;
  /** It and its kin: the processes of the same name and cgroup that it descends from or that descend from it, in ascending order. */
  readonly family: readonly number[];
  readonly residence: Residence;
  /** null: it is in no cgroup v2 tree that can be seen here. */
  readonly cgroup: CgroupFacts | null;
  /** The path of its network namespace; null: it is in ours. */
  readonly netns: string | null;
  /** The words that start it once more; null: they are not known, or would mean something else here. */
  readonly command: StartCommand | null;
  readonly connections: ConnectionsSeen;
  /** Its connections, or some of them, may not be seen. */
  readonly hidesConnections: boolean;
  /** What could not be seen, and what that would need. */
  readonly unseen: readonly string[];
}

export interface CgroupFacts {
  /** Within the tree, e.g. `/system.slice/nginx.service`. */
  readonly path: string;
  /** It is the machine's outermost, in which everything is. A container may see its own as `/`. */
  readonly isRoot: boolean;
  /** Processes in it or below it that are none of the family. */
  readonly others: number;
  /** The policy that it has already; null: none, or it may not be seen. */
  readonly policy: (PolicyRequest & { readonly id: number }) | null;
}

export interface StartCommand {
  readonly words: readonly string[];
  /** The folder in which they mean what they meant. */
  readonly folder: string;
}

/** Whether it is in a cgroup that a policy can be added to: one that is not the whole machine's. */
export function hasOwnCgroup({ cgroup }: ProgramFacts): boolean {
  return cgroup !== null && !cgroup.isRoot;
}
