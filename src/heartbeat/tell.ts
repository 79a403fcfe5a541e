import type { EventEmitter } from "node:events";

/**
 * Throws an error by itself, as one of any callback's, so that whoever called the callback goes on where it was.
 *
 * @example try { listener() } catch (error) { throwApart(error) }
 */
export function throwApart(error: unknown): void {
  process.nextTick(() => {
    throw error;
  });
}

/**
 * Emits an event from the middle of something that has to be gone through with. What a listener throws is thrown apart: a process that
 * goes on after it shall not be left with a connection that never beats, or never comes back.
 *
 * @example tell(this, "offline", verdict)
 */
export function tell<Events extends Record<keyof Events, unknown[]>, Name extends keyof Events & string>(
  emitter: EventEmitter<Events>,
  name: Name,
  ...args: Events[Name]
): void {
  try {
    (emitter as EventEmitter).emit(name, ...args);
  } catch (error) {
    throwApart(error);
  }
}

/**
 * Calls what others have written, from the middle of something that has to be gone through with; what it throws is thrown apart.
 *
 * @returns `otherwise` where it throws.
 * @example const took = attempt(() => adapter.progressed(), false);
 */
export function attempt<Result>(work: () => Result, otherwise: Result): Result {
  try {
    return work();
  } catch (error) {
    throwApart(error);
    return otherwise;
  }
}
