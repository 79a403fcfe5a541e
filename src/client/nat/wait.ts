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
