import { readdirSync } from "node:fs";
import { constants, getPriority, setPriority } from "node:os";

const { PRIORITY_BELOW_NORMAL } = constants.priority;

/**
 * Lets every other program of this machine go first, above all those whose sockets are changed: with as many busy threads as cores
 * their answers would wait for ours. Linux keeps a priority for each thread, and Node has several.
 */
export function giveWay(): void {
  if (getPriority() >= PRIORITY_BELOW_NORMAL) return;
  for (const thread of readdirSync("/proc/self/task"))
    try {
      setPriority(Number(thread), PRIORITY_BELOW_NORMAL);
    } catch {
      // It has just ended. Nobody needs a privilege to stand back.
    }
}
