import { systemClock } from "../../kernel/clock.js";

/** @throws whatever `signal` is aborted with. */
export function wait(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      systemClock.clear(timer);
      reject(signal.reason as Error);
    };
    const timer = systemClock.set(() => {
      signal.removeEventListener("abort", abort);
      resolve();
    }, delayMs);
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
  });
}

/**
 * What work gives, unless the signal fires first; work that cannot be interrupted goes on then, and nobody waits for it.
 *
 * @throws whatever work does, or `signal` is aborted with.
 */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
    if (signal.aborted) abort();
  });
}
