import { DeadpeerError } from "../errors.js";
import { note } from "./note.js";

/** Ctrl-C, a polite kill, and the terminal that is closed: each would end the process where it stands. */
const interrupts: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM", "SIGHUP"];

/**
 * Runs work that can be interrupted between two steps. A signal aborts it; once it has cleaned up, the signal ends the process
 * as it would have done at once, so that whoever started it (a shell, a script) sees the same.
 *
 * @param signals those that abort it.
 */
export async function interruptible<T>(
  work: (signal: AbortSignal) => Promise<T>,
  signals: readonly NodeJS.Signals[] = interrupts,
): Promise<T> {
  const controller = new AbortController();
  let caught: NodeJS.Signals | undefined;
  const abort = (signal: NodeJS.Signals): void => {
    caught ??= signal;
    controller.abort();
  };
  for (const signal of signals) process.on(signal, abort);
  try {
    return await work(controller.signal);
  } catch (error) {
    if (caught !== undefined && error instanceof DeadpeerError) {
      note(error.message);
      process.off(caught, abort);
      process.kill(process.pid, caught);
    }
    throw error;
  } finally {
    for (const signal of signals) process.off(signal, abort);
  }
}
