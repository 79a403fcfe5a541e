import { pidNamespace, processStartTicks } from "../kernel/processes.js";

/**
 * Everything that a lab leaves visible to others (namespaces, folders) is called `dp-lab-PID-START-PIDNS-N-ROLE`: its owner by
 * process number and start time, which together name one process for good among those of one PID namespace; which of that
 * process's labs; and what for.
 */
const pattern = /^dp-lab-(\d+)-(\d+)-(\d+)-(\d+)-(.+)$/;

let labs = 0;

/** The first part of the names of a new lab of this process, to which `-ROLE` is added. */
export function newLabPrefix(): string {
  return `dp-lab-${process.pid}-${processStartTicks(process.pid) ?? 0}-${pidNamespace()}-${++labs}`;
}

/**
 * Whether a name is a lab's whose owner has ended. Other names are nobody's business here, nor are those of an owner in another
 * PID namespace, who shares a folder with us but cannot be looked for: a container's lab may well be alive.
 */
export function isOrphaned(name: string): boolean {
  const match = pattern.exec(name);
  if (match === null || Number(match[3]) !== pidNamespace()) return false;
  return processStartTicks(Number(match[1])) !== Number(match[2]);
}
