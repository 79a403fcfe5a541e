import type { TimerClock } from "../../time/clock.js";
import { type Reception, Shift } from "./shift.js";
import { mostListeners } from "./slots.js";
import type { Tenant, Terms } from "./tenant.js";

export interface LotOptions {
  readonly clock: TimerClock;
  /** Sessions at a time, and connections that have not said hello. */
  readonly capacity: number;
  /** Time for one beat of a session; who is quicker is handed back. */
  readonly beatEveryMs: number;
  /** Threads. Default: 1. */
  readonly workers?: number;
  /** Default: nothing is accepted here. */
  readonly reception?: Reception | null;
  /** A worker takes sessions, and none did before; none does any more, or none has come that far. */
  readonly onOpen?: () => void;
  readonly onShut?: () => void;
  readonly watchMs?: number;
  readonly worker?: URL;
}

/** A parked session: with which worker, and where there. */
export interface Place {
  readonly shift: Shift;
  readonly slot: number;
}

/** Failures of a worker within a minute after which none is started any more. */
const mostFailures = 3;
const minuteMs = 60_000;
/** Connections that a worker accepts without hearing from us. */
const supplied = 512;
/** In place of a listener's descriptor. */
const free = -1;
const leaving = -2;

/**
 * Where sessions are parked: worker threads, started when they are first needed, and again if they fail.
 *
 * @example
 * const lot = new Lot({ clock, capacity: 100_000, beatEveryMs: 100 });
 * const place = lot.park(fd, tenant, terms); // null: not now
 */
export class Lot {
  readonly #options: LotOptions;
  readonly #shifts: (Shift | null)[];
  /** By number: descriptors at which is accepted, or `free`, or `leaving`. */
  readonly #listeners: number[] = Array.from({ length: mostListeners }, () => free);
  #failures: number[] = [];
  #opened = false;
  #closed = false;

  constructor(options: LotOptions) {
    this.#options = options;
    this.#shifts = Array.from({ length: options.workers ?? 1 }, () => null);
  }

  get parked(): number {
    return this.#shifts.reduce((sum, shift) => sum + (shift?.parked ?? 0), 0);
  }

  /** Sessions with each worker. */
  get byWorker(): number[] {
    return this.#shifts.map((shift) => shift?.parked ?? 0);
  }

  /** Connections that have said nothing yet. */
  get greeting(): number {
    return this.#shifts.reduce((sum, shift) => sum + (shift?.greeting ?? 0), 0);
  }

  /** Connections that have said something, but no hello, with somebody else: they count, too. */
  set greetingElsewhere(count: number) {
    for (const shift of this.#shifts) if (shift !== null) shift.greetingElsewhere = count;
  }

  /** Workers lost in the last minute. */
  get failures(): number {
    return this.#failures.length;
  }

  /** Whether sessions can be parked right now; starts what is needed for it. */
  get open(): boolean {
    if (this.#closed) return false;
    for (const [number, shift] of this.#shifts.entries())
      if (shift === null && this.#mayStart()) this.#start(number);
    return this.#shifts.some(isReady);
  }

  /** Whether it is about to open, or to say that it is shut. */
  get opening(): boolean {
    return !this.open && this.#shifts.some((shift) => shift !== null);
  }

  /** @returns null: there is no room, and the descriptor stays the caller's. See `Shift.park`. */
  park(fd: number, tenant: Tenant, terms: Terms): Place | null {
    const shift = this.open ? this.#emptiest() : null;
    const slot = shift?.park(fd, tenant, terms) ?? -1;
    if (shift === null || slot < 0) return null;
    return { shift, slot };
  }

  /**
   * Accepts at a listening socket from now on, whenever it is open.
   *
   * @returns its number; -1: there are too many. The descriptor stays the caller's, who leaves it open until after `deafen`.
   */
  listen(fd: number): number {
    const listener = this.#listeners.indexOf(free);
    if (listener < 0) return -1;
    this.#listeners[listener] = fd;
    for (const shift of this.#shifts) if (isReady(shift)) shift.listen(listener, fd);
    this.#supply();
    return listener;
  }

  /** Accepts there no more. */
  async deafen(listener: number): Promise<void> {
    // Whoever is started from now on does not know of it.
    const fd = this.#listeners[listener] ?? -1;
    this.#listeners[listener] = leaving;
    const shifts = this.#shifts.filter((shift) => shift !== null);
    if (fd >= 0) await Promise.all(shifts.map((shift) => shift.deafen(listener)));
    this.#listeners[listener] = free;
  }

  /** Until nobody is parked any more, so long at most. */
  async emptied(mostMs: number): Promise<void> {
    const { clock } = this.#options;
    const untilMs = clock.monotonic() + mostMs;
    while (this.parked > 0 && clock.monotonic() < untilMs)
      await new Promise<void>((resolve) => {
        clock.set(resolve, 5);
      });
  }

  /** Ends the workers; whoever is parked yet is handed back as taken over. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#shifts.filter((shift) => shift !== null).map((shift) => shift.close()));
  }

  #emptiest(): Shift | null {
    let emptiest: Shift | null = null;
    for (const shift of this.#shifts)
      if (isReady(shift) && (emptiest === null || shift.parked < emptiest.parked)) emptiest = shift;
    return emptiest;
  }

  /**
   * Slots for those who will be accepted. All workers are told of who waits, and the same one is quickest again and again: one that
   * is ahead of the others is given so much less, until it has none left and the others accept. The emptiest always has some.
   */
  #supply(): void {
    if (this.#listeners.every((fd) => fd < 0)) return;
    const least = this.#emptiest()?.parked ?? 0;
    for (const shift of this.#shifts)
      if (isReady(shift)) shift.supply(Math.max(0, supplied - (shift.parked - least)));
  }

  #mayStart(): boolean {
    const since = this.#options.clock.monotonic() - minuteMs;
    this.#failures = this.#failures.filter((at) => at > since);
    return this.#failures.length < mostFailures * this.#shifts.length;
  }

  #start(number: number): void {
    const { watchMs = 2_000, reception = null, ...options } = this.#options;
    try {
      const shift: Shift = new Shift({
        ...options,
        watchMs,
        reception,
        onReady: () => this.#readied(shift),
        onArrivals: () => this.#supply(),
        onEnd: () => this.#ended(number),
      });
      this.#shifts[number] = shift;
    } catch {
      // No descriptors left, or no threads: sessions stay where they are, and the next try may have more luck.
      this.#failures.push(this.#options.clock.monotonic());
    }
  }

  #readied(shift: Shift): void {
    for (const [listener, fd] of this.#listeners.entries()) if (fd >= 0) shift.listen(listener, fd);
    this.#supply();
    if (this.#opened || this.#closed) return;
    this.#opened = true;
    this.#options.onOpen?.();
  }

  #ended(number: number): void {
    this.#shifts[number] = null;
    if (!this.#closed) this.#failures.push(this.#options.clock.monotonic());
    // Another may be the emptiest now, and have been given none.
    this.#supply();
    const others = this.#opened
      ? this.#shifts.filter(isReady)
      : this.#shifts.filter((shift) => shift !== null);
    if (others.length > 0) return;
    this.#opened = false;
    this.#options.onShut?.();
  }
}

function isReady(shift: Shift | null | undefined): shift is Shift {
  return shift?.ready === true;
}
