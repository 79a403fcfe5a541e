import { pidNamespace, processStartTicks } from "./processes.js";

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

/**
 * Whether a name is one of this kind whose owner has ended. Other names are nobody's business here, nor are those of an owner in
 * another PID namespace, who shares a folder with us but cannot be looked for: a container's lab may well be alive.
 */
export function isOrphaned(name: string, kind: string): boolean {
  const match = pattern.exec(name);
  if (match === null || match[1] !== kind || Number(match[4]) !== pidNamespace()) return false;
  return processStartTicks(Number(match[2])) !== Number(match[3]);
}
