import { NetworkChanges } from "../kernel/network-changes.js";
import type { TimerClock } from "../time/clock.js";
import { type Timer, timersOf } from "../time/timers.js";

/** Quick enough for people, and no burden: only whoever waits for the network looks. */
const lookEveryMs = 500;

/**
 * Tells whether the host's network has changed. The kernel keeps the news until somebody looks, so nobody has to be woken for it; while
 * a connection waits for its next attempt, it is looked at twice a second.
 */
export class NetworkWatch {
  readonly #changes: NetworkChanges | null;
  readonly #timer: Timer;
  #onChange: (() => void) | null = null;

  constructor(clock: TimerClock) {
    this.#changes = opened();
    this.#timer = timersOf(clock).timer(() => this.#look());
  }

  /** Calls back, once, when the network changes from now on. */
  wait(onChange: () => void): void {
    if (this.#changes === null) return;
    this.#changes.poll();
    this.#onChange = onChange;
    this.#timer.set(lookEveryMs);
  }

  stopWaiting(): void {
    this.#onChange = null;
    this.#timer.clear();
  }

  close(): void {
    this.stopWaiting();
    this.#timer.close();
    this.#changes?.close();
  }

  #look(): void {
    if (this.#changes?.poll() !== true) {
      this.#timer.set(lookEveryMs);
      return;
    }
    const onChange = this.#onChange;
    this.#onChange = null;
    onChange?.();
  }
}

/** Where the kernel cannot be asked, nothing is known about changes, and all else goes on. */
function opened(): NetworkChanges | null {
  try {
    return NetworkChanges.open();
  } catch {
    return null;
  }
}
