import { processStartTicks } from "../kernel/processes.js";

/**
 * Everything that a lab leaves visible to others (namespaces, folders) is called `dp-lab-PID-START-N-ROLE`: its owner by process
 * number and start time, which together name one process for good; which of that process's labs; and what for.
 */
const pattern = /^dp-lab-(\d+)-(\d+)-(\d+)-(.+)$/;

let labs = 0;

/** The first part of the names of a new lab of this process, to which `-ROLE` is added. */
export function newLabPrefix(): string {
  return `dp-lab-${process.pid}-${processStartTicks(process.pid) ?? 0}-${++labs}`;
}

/** Whether a name is a lab's whose owner has ended. Other names are nobody's business here. */
export function isOrphaned(name: string): boolean {
  const match = pattern.exec(name);
  return match !== null && processStartTicks(Number(match[1])) !== Number(match[2]);
}
