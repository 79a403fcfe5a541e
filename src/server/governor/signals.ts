import { constants } from "node:os";
import { DeadpeerError } from "../../errors.js";
import { type DrainOptions, type DrainReport, drainSettings } from "./drain.js";
import type { Governor } from "./governor.js";

export interface DrainOnSignalsOptions extends Omit<DrainOptions, "now"> {
  /** Default: SIGTERM and SIGINT. */
  readonly signals?: readonly NodeJS.Signals[];
}

/**
 * Waits for a signal to this process, and then lets the server go in order; a second signal cuts off what remains. What comes after
 * that is the program's.
 *
 * @throws DeadpeerError at once and not at the signal: `bad-duration`, `bad-option`.
 * @example
 * const { cutOff } = await drainOnSignals(governor, { within: "20s" });
 * process.exitCode = cutOff === 0 ? 0 : 1;
 */
export async function drainOnSignals(
  governor: Governor,
  { signals = ["SIGTERM", "SIGINT"], ...options }: DrainOnSignalsOptions = {},
): Promise<DrainReport> {
  // The signal would be the worst moment to learn of it.
  drainSettings(options);
  for (const signal of signals)
    if (constants.signals[signal] === undefined || signal === "SIGKILL" || signal === "SIGSTOP")
      throw new DeadpeerError("bad-option", `signals: ${signal} is not one that a program can wait for`);
  return new Promise((resolve, reject) => {
    const onSignal = (): void => {
      const again = governor.draining;
      governor
        .drain({ ...options, now: again })
        .finally(() => {
          for (const signal of signals) process.off(signal, onSignal);
        })
        .then(resolve, reject);
    };
    for (const signal of signals) process.on(signal, onSignal);
  });
}
