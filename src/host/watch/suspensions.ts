import { readFileSync } from "node:fs";
import { monotonicMs } from "./clock.js";

/** Below this, clocks are merely read one after the other. */
const worthMentioningMs = 1_000;
const periodMs = 1_000;

/** When this machine last slept: /proc/uptime goes on meanwhile (CLOCK_BOOTTIME), the clock of events does not. */
export class Suspensions {
  #sleptMs = sleptSinceBoot();
  #lookedMs = monotonicMs();
  #last: { readonly lengthMs: number; readonly endedMs: number } | null = null;

  step(nowMs: number): void {
    if (nowMs - this.#lookedMs < periodMs) return;
    this.#lookedMs = nowMs;
    const sleptMs = sleptSinceBoot();
    const lengthMs = sleptMs - this.#sleptMs;
    this.#sleptMs = sleptMs;
    if (lengthMs >= worthMentioningMs) this.#last = { lengthMs, endedMs: nowMs };
  }

  /** How long the machine slept between two moments; null: not so that it would be known. */
  during(fromMs: number, toMs: number): number | null {
    if (this.#last === null || this.#last.endedMs < fromMs || this.#last.endedMs - periodMs > toMs)
      return null;
    return Math.round(this.#last.lengthMs);
  }
}

function sleptSinceBoot(): number {
  return Number.parseFloat(readFileSync("/proc/uptime", "utf8")) * 1_000 - monotonicMs();
}
