import { DeadpeerError } from "../../errors.js";
import { note } from "../note.js";

/**
 * Runs work that can be interrupted between two steps. SIGINT and SIGTERM abort it; once it has cleaned up, the signal ends the
 * process as it would have done at once, so that whoever started it (a shell, a script) sees the same.
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  let caught: NodeJS.Signals | undefined;
  const abort = (signal: NodeJS.Signals): void => {
    caught ??= signal;
    controller.abort();
  };
  process.on("SIGINT", abort).on("SIGTERM", abort);
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
    process.off("SIGINT", abort).off("SIGTERM", abort);
  }
}
