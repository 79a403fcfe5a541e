import { isEmptyNamespace, pidNamespace, processStartTicks } from "./processes.js";

/**
 * What deadpeer leaves visible to others (namespaces, folders, cgroups, trace instances) is called
 * `dp-KIND-PID-START-PIDNS-N`, with more behind it where one thing has several parts: its owner by process number and start
 * time, which together name one process for good among those of one PID namespace; and which of that process's things.
 */
const pattern = /^dp-([a-z]+)-(\d+)-(\d+)-(\d+)-(\d+)(-.+)?$/;

let made = 0;

/**
 * A name for something new of this process, or the first part of its parts' names.
 *
 * @param kind in small letters, one for each maker: `lab`, `run`, `watch`.
 * @example newOwnedName("lab") // "dp-lab-4711-88231-4026531836-1"
 */
export function newOwnedName(kind: string): string {
  return `dp-${kind}-${process.pid}-${processStartTicks(process.pid) ?? 0}-${pidNamespace()}-${++made}`;
}

/** Whose something is, by its name. */
export interface Ownership {
  readonly kind: string;
  readonly pid: number;
  /**
   * `elsewhere`: its owner is, or was, in another PID namespace, where we cannot look for it. A container's lab may well be alive.
   */
  readonly owner: "alive" | "ended" | "elsewhere";
}

/** @returns null for a name that is nobody's business here. */
export function ownershipOf(name: string): Ownership | null {
  const match = pattern.exec(name);
  if (match === null) return null;
  const [, kind = "", pid, startTicks, namespace] = match;
  return { kind, pid: Number(pid), owner: ownerOf(Number(pid), Number(startTicks), Number(namespace)) };
}

function ownerOf(pid: number, startTicks: number, namespace: number): Ownership["owner"] {
  if (namespace === pidNamespace()) return processStartTicks(pid) === startTicks ? "alive" : "ended";
  // From outside all of them are seen, and one without a process has ended with everybody in it.
  return isEmptyNamespace(namespace) ? "ended" : "elsewhere";
}

/** Whether a name is one of this kind whose owner has ended. */
export function isOrphaned(name: string, kind: string): boolean {
  const ownership = ownershipOf(name);
  return ownership?.kind === kind && ownership.owner === "ended";
}
