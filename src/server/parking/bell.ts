import { createEventFd, ring } from "../../kernel/event-fd.js";
import type { OwnedFd } from "../../kernel/fd.js";
import type { TimerClock } from "../../time/clock.js";

/**
 * What the worker is woken with. Each ring costs a system call here and a turn there, so those who want it rung soon share one.
 *
 * @example
 * const bell = new Bell(clock);
 * slots.give(order.recall, slot);
 * bell.ringSoon();
 */
export class Bell {
  readonly #clock: TimerClock;
  readonly #event: OwnedFd;
  #soon = false;
  #within = false;
  #closed = false;

  /** @throws DeadpeerError `syscall-failed`, as EMFILE. */
  constructor(clock: TimerClock) {
    this.#clock = clock;
    this.#event = createEventFd();
  }

  get fd(): number {
    return this.#event.fd;
  }

  ring(): void {
    if (!this.#closed) ring(this.#event.fd);
  }

  /** As soon as what runs now is through. */
  ringSoon(): void {
    if (this.#soon) return;
    this.#soon = true;
    process.nextTick(() => {
      this.#soon = false;
      this.ring();
    });
  }

  /** For what can wait so long. */
  ringWithin(ms: number): void {
    if (this.#within) return;
    this.#within = true;
    this.#clock.set(() => {
      this.#within = false;
      this.ring();
    }, ms);
  }

  close(): void {
    this.#closed = true;
    this.#event.close();
  }
}
