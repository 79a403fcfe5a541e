import type { ClockTimer, TimerClock } from "./clock.js";

interface VirtualTimer extends ClockTimer {
  readonly dueMs: number;
  readonly order: number;
  callback: (() => void) | null;
}

/**
 * A clock that a test moves by hand: an hour passes at once, and every timer fires at its moment, in order.
 *
 * @example
 * const clock = new VirtualClock();
 * const session = new HeartbeatSession({ clock });
 * await clock.advance(35_000);
 */
export class VirtualClock implements TimerClock {
  #wallMs: number;
  #monotonicMs = 0;
  #order = 0;
  /** A binary heap: the next to fire stands first. Cleared ones are passed over when they come up. */
  readonly #timers: VirtualTimer[] = [];
  #pending = 0;

  /** @param wallMs what people's clocks show at the beginning. */
  constructor(wallMs = 0) {
    this.#wallMs = wallMs;
  }

  now(): number {
    return this.#wallMs;
  }

  monotonic(): number {
    return this.#monotonicMs;
  }

  /** How many timers are set: none, after everything that was opened has been closed. */
  get pending(): number {
    return this.#pending;
  }

  set(callback: () => void, delayMs: number): ClockTimer {
    const timer: VirtualTimer = {
      dueMs: this.#monotonicMs + Math.max(0, delayMs),
      order: this.#order++,
      callback,
    };
    this.#push(timer);
    this.#pending++;
    return timer;
  }

  clear(timer: ClockTimer): void {
    const known = timer as VirtualTimer;
    if (known.callback === null) return;
    known.callback = null;
    this.#pending--;
  }

  /**
   * Lets time pass, firing each timer when it is due, also those that are set meanwhile. Between two timers it lets promises
   * settle, so code that awaits goes on at the right moment.
   */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#monotonicMs + ms;
    await settled();
    for (let timer = this.#dueBy(untilMs); timer !== null; timer = this.#dueBy(untilMs)) {
      this.#moveTo(Math.max(timer.dueMs, this.#monotonicMs));
      this.#fire(timer);
      await settled();
    }
    this.#moveTo(untilMs);
  }

  /** The same without promises: timers fire, and nothing else runs. */
  advanceSync(ms: number): void {
    const untilMs = this.#monotonicMs + ms;
    for (let timer = this.#dueBy(untilMs); timer !== null; timer = this.#dueBy(untilMs)) {
      this.#moveTo(Math.max(timer.dueMs, this.#monotonicMs));
      this.#fire(timer);
    }
    this.#moveTo(untilMs);
  }

  /** The process stands still, as under SIGSTOP: both clocks go on, and what was due fires late, at the next advance. */
  pause(ms: number): void {
    this.#moveTo(this.#monotonicMs + ms);
  }

  /** The machine sleeps: people's clocks go on, the monotonic one and all timers stand still. */
  suspend(ms: number): void {
    this.#wallMs += ms;
  }

  /** Somebody sets people's clocks, forwards or back. */
  setWall(wallMs: number): void {
    this.#wallMs = wallMs;
  }

  #moveTo(monotonicMs: number): void {
    this.#wallMs += monotonicMs - this.#monotonicMs;
    this.#monotonicMs = monotonicMs;
  }

  #fire(timer: VirtualTimer): void {
    const { callback } = timer;
    this.clear(timer);
    callback?.();
  }

  #dueBy(untilMs: number): VirtualTimer | null {
    for (let first = this.#timers[0]; first !== undefined; first = this.#timers[0]) {
      if (first.callback !== null && first.dueMs > untilMs) return null;
      this.#pop();
      if (first.callback !== null) return first;
    }
    return null;
  }

  #push(timer: VirtualTimer): void {
    const heap = this.#timers;
    let place = heap.push(timer) - 1;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      const above = heap[parent] as VirtualTimer;
      if (isBefore(above, timer)) break;
      heap[place] = above;
      place = parent;
    }
    heap[place] = timer;
  }

  #pop(): void {
    const heap = this.#timers;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let place = 0;
    for (let child = 1; child < heap.length; child = 2 * place + 1) {
      const [left, right] = [heap[child] as VirtualTimer, heap[child + 1]];
      const smaller = right !== undefined && isBefore(right, left) ? child + 1 : child;
      const below = heap[smaller] as VirtualTimer;
      if (isBefore(last, below)) break;
      heap[place] = below;
      place = smaller;
    }
    heap[place] = last;
  }
}

function isBefore(a: VirtualTimer, b: VirtualTimer): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);
}

/** Enough turns of the microtask queue for a chain of awaits; timers of the real world stay out of it. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
}
