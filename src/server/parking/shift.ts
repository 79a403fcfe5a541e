import { createEpoll, Epoll } from "../../kernel/epoll.js";
import { peerBytes } from "../../kernel/accept.js";
import type { OwnedFd } from "../../kernel/fd.js";
import { type PeerAddress, peerAddress } from "../../kernel/peer-address.js";
import { socketCookie } from "../../kernel/socket-cookie.js";
import { aheadOfMachineMs } from "../../kernel/clock.js";
import { closeFd } from "../../kernel/socket-io.js";
import type { TimerClock } from "../../time/clock.js";
import { type ArrivalKind, type Handback, readArrival, type Said } from "./handback.js";
import { Bell } from "./bell.js";
import { Claims } from "./claims.js";
import { deaf, hand, order, Slots, word } from "./slots.js";
import type { HandedBack, Tenant, Terms } from "./tenant.js";
import { WorkerThread } from "./worker-thread.js";

/** Who deals with what a worker has accepted. */
export interface Reception {
  /** For how long a connection may say nothing. */
  readonly handshakeMs: number;
  /** Such connections at a time, with a worker. */
  readonly mostGreeting: number;
  /** The slot is to be kept (`Shift.keep`) or given up (`Shift.release`) before this returns. */
  arrived(shift: Shift, slot: number, kind: ArrivalKind): void;
  /** A connection that has said nothing yet, of a worker that is no more: the descriptor is the caller's. */
  stranded(fd: number): void;
}

export interface ShiftOptions {
  readonly clock: TimerClock;
  readonly capacity: number;
  readonly beatEveryMs: number;
  /** null: nothing is accepted here. */
  readonly reception: Reception | null;
  /** How often the worker is looked at; one that has stood still for three looks hangs. */
  readonly watchMs: number;
  /** The worker takes sessions from now on. */
  readonly onReady: () => void;
  /** Some have arrived, or slots for them are wanted. */
  readonly onArrivals: () => void;
  /** The worker has ended, and nobody is parked any more. */
  readonly onEnd: (shift: Shift, problem: Error | null) => void;
  /** Instead of deadpeer's own, for tests of what goes wrong. */
  readonly worker?: URL;
}

/** So long the worker may learn of a deadline later. */
const lateRingMs = 5;

/** In the slots that the worker was granted: who is there is not known yet. */
const newcomer: Tenant = { handedBack: () => {} };

/**
 * One worker thread, from its start to its end, and the sessions that are parked with it. Every descriptor in here has one owner at
 * each moment: the tenant until `park` says true and from `handedBack` on, the shift in between; the worker only uses it.
 */
export class Shift {
  readonly #options: ShiftOptions;
  readonly #slots: Slots;
  readonly #epoll: OwnedFd;
  readonly #set: Epoll;
  readonly #bell: Bell;
  readonly #thread: WorkerThread;
  readonly #tenants: (Tenant | null)[] = [];
  readonly #claims: Claims;
  readonly #recalled: Uint8Array;
  readonly #free: number[] = [];
  #parked = 0;
  /** Slots with newcomers, or for them. */
  #granted = 0;
  #listening = 0;
  #ready = false;
  #ended = false;

  /** @throws DeadpeerError `syscall-failed`, as EMFILE. */
  constructor(options: ShiftOptions) {
    this.#options = options;
    this.#slots = new Slots(options.capacity);
    this.#claims = new Claims(options.capacity);
    this.#recalled = new Uint8Array(options.capacity);
    this.#epoll = createEpoll();
    this.#set = new Epoll(this.#epoll.fd, 1);
    try {
      this.#bell = new Bell(options.clock);
    } catch (error) {
      this.#epoll.close();
      throw error;
    }
    const { clock, capacity, beatEveryMs, reception, watchMs } = options;
    this.#thread = new WorkerThread({
      clock,
      watchMs,
      file: options.worker,
      data: {
        memory: this.#slots.memory,
        capacity,
        epoll: this.#epoll.fd,
        bell: this.#bell.fd,
        beatEveryMs,
        handshakeMs: reception?.handshakeMs ?? 0,
        mostGreeting: reception?.mostGreeting ?? 0,
        zeroMs: aheadOfMachineMs(() => clock.monotonic()),
      },
      turns: () => Atomics.load(this.#slots.control, word.turns),
      onMessage: (message) => this.#hear(message),
      onHang: () => this.#retire(),
      onExit: (problem) => this.#end(problem),
    });
    shifts.add(this);
    if (shifts.size === 1) process.on("exit", fenceAll);
  }

  /** How many are in the lot. */
  get parked(): number {
    return this.#parked;
  }

  get ready(): boolean {
    return this.#ready && !this.#ended && !this.#slots.fenced;
  }

  /**
   * Takes a session in.
   *
   * @param fd of a connected TCP socket, on which nobody else reads or writes.
   * @returns its slot; -1: there is no room, and the descriptor stays the caller's.
   */
  park(fd: number, tenant: Tenant, terms: Terms): number {
    const cookie = this.ready ? socketCookie(fd) : null;
    if (cookie === null) return -1;
    const slot = this.#takeSlot();
    if (slot < 0) return -1;
    this.#slots.fd[slot] = fd;
    this.#slots.peers.fill(0, slot * peerBytes, (slot + 1) * peerBytes);
    this.#settle(slot, cookie, tenant, terms);
    this.#order(order.park, slot);
    return slot;
  }

  /** The same for a connection that has arrived, in its slot. @returns false: there is none any more, and the slot is to be released. */
  keep(slot: number, tenant: Tenant, terms: Terms): boolean {
    const fd = this.fd(slot);
    const cookie = this.ready ? socketCookie(fd) : null;
    if (cookie === null) return false;
    this.#granted--;
    this.#settle(slot, cookie, tenant, terms);
    this.#slots.give(order.keep, slot);
    // From here the worker hears of it; the bell is for its deadlines alone, and many share it.
    try {
      this.#set.again(fd, slot, this.#slots.generation[slot] ?? 0);
    } catch {
      // The worker could not have it watched when it came, and may be able to now.
      this.#order(order.park, slot);
    }
    this.#bell.ringWithin(lateRingMs);
    return true;
  }

  /** Gives up the slot of a connection that has arrived. @returns its descriptor, which is the caller's; -1: there is none. */
  release(slot: number): number {
    const fd = this.#slots.fd[slot] ?? -1;
    this.#granted--;
    this.#tenants[slot] = null;
    this.#free.push(slot);
    // It may live on, and the worker's set would still know it.
    if (fd >= 0 && !this.#ended) this.#set.remove(fd);
    return fd;
  }

  /** Of a connection that has arrived: it is still this slot's. */
  fd(slot: number): number {
    return this.#slots.fd[slot] ?? -1;
  }

  /** The other side of a connection that was accepted here, parked or just arrived; null: of another. */
  remote(slot: number): PeerAddress | null {
    return peerAddress(this.#slots.peers, slot * peerBytes);
  }

  /** Accepts at a listening socket, which stays the caller's, from now on. @param listener a number of the caller's, below `mostListeners`. */
  listen(listener: number, fd: number): void {
    this.#slots.listeners[listener] = fd;
    this.#listening++;
    this.#order(order.listen, listener);
    this.#hold();
  }

  /** Not any more. Afterwards, at once where the worker has ended, the worker does not touch it. */
  async deafen(listener: number): Promise<void> {
    const { clock } = this.#options;
    this.#listening--;
    this.#order(order.deafen, listener);
    while (!this.#ended && Atomics.load(this.#slots.listeners, listener) !== deaf)
      await new Promise<void>((resolve) => {
        clock.set(resolve, 5);
      });
    this.#hold();
  }

  /** Connections that have said nothing yet. */
  get greeting(): number {
    return this.#ended ? 0 : Math.max(0, this.#slots.control[word.greeting] ?? 0);
  }

  /** Connections that have said something, with whoever; they count, too. */
  set greetingElsewhere(count: number) {
    this.#slots.control[word.greetingElsewhere] = count;
  }

  /** Slots that it has for newcomers. */
  get vacant(): number {
    return this.#granted - this.greeting;
  }

  /** Gives the worker slots for those whom it accepts, up to so many, once half of them are used: seldom, and many at once. */
  supply(most: number): void {
    let { vacant } = this;
    if (!this.ready || vacant > most / 2) return;
    for (; vacant < most; vacant++) {
      const slot = this.#takeSlot();
      if (slot < 0) return;
      this.#slots.fd[slot] = -1;
      this.#tenants[slot] = newcomer;
      this.#granted++;
      this.#order(order.grant, slot);
    }
  }

  /** Asks for a session: its tenant has it back soon, if not already on its way for another reason. */
  recall(slot: number): void {
    // Once for each tenant: orders have room for no more.
    if (this.#recalled[slot] === 1) return;
    this.#recalled[slot] = 1;
    this.#order(order.recall, slot);
  }

  /** Somebody else is told from now on. */
  replace(slot: number, tenant: Tenant): void {
    this.#tenants[slot] = tenant;
  }

  /** When the peer of a parked session was last heard. */
  heardMs(slot: number): number {
    return this.#slots.heardMs[slot] ?? 0;
  }

  /** Ends the worker; whoever is parked yet is handed back as taken over. */
  async close(): Promise<void> {
    this.#retire();
    await this.#thread.exit;
  }

  /** The process ends, and with it nothing may wait in the kernel. */
  fence(): void {
    this.#slots.fence();
    this.#bell.ring();
  }

  /** @returns -1: all are taken. */
  #takeSlot(): number {
    const slot = this.#free.pop() ?? this.#tenants.length;
    if (slot >= this.#options.capacity) return -1;
    this.#slots.generation[slot] = ((this.#slots.generation[slot] ?? 0) + 1) >>> 0;
    return slot;
  }

  #settle(slot: number, cookie: bigint, tenant: Tenant, terms: Terms): void {
    const slots = this.#slots;
    slots.heardMs[slot] = terms.heardMs;
    slots.paidMs[slot] = terms.paidMs;
    slots.patienceMs[slot] = terms.patienceMs;
    slots.sendEveryMs[slot] = terms.sendEveryMs;
    slots.received[slot] = terms.received;
    slots.acknowledged[slot] = terms.acknowledged;
    this.#recalled[slot] = 0;
    this.#tenants[slot] = tenant;
    this.#parked++;
    const squatter = this.#claims.stake(slot, slots.fd[slot] ?? -1, cookie);
    if (squatter >= 0) this.#lose(squatter);
    this.#hold();
  }

  #hold(): void {
    this.#thread.hold(this.#parked > 0 || this.#listening > 0);
  }

  #order(what: number, slot: number): void {
    this.#slots.give(what, slot);
    this.#bell.ringSoon();
  }

  #hear(message: Said): void {
    if (message === "ready") {
      this.#ready = true;
      this.#options.onReady();
    } else if ("slot" in message) this.#takeBack(message);
    else {
      for (const one of message) this.#arrive(one);
      this.#options.onArrivals();
    }
  }

  #arrive(one: number): void {
    const { slot, kind } = readArrival(one);
    if (this.#tenants[slot] !== newcomer) return;
    try {
      this.#options.reception?.arrived(this, slot, kind);
    } catch (error) {
      // Of the application, in an event of its session: loud, but the others must not suffer for it.
      process.nextTick(() => {
        throw error;
      });
    }
  }

  #takeBack({ slot, generation, why, bytes, unsent, errno, syscall }: Handback): void {
    if (this.#slots.generation[slot] !== generation || this.#tenants[slot] == null) return;
    this.#leave(slot, {
      why,
      bytes,
      unsent,
      failed: syscall === null ? null : { errno, syscall },
    });
  }

  #leave(slot: number, said: Pick<HandedBack, "why" | "bytes" | "unsent" | "failed">): void {
    const tenant = this.#tenants[slot] as Tenant;
    const fd = this.#slots.fd[slot] ?? -1;
    this.#tenants[slot] = null;
    this.#free.push(slot);
    this.#parked--;
    this.#hold();
    const ours = this.#claims.drop(slot, fd);
    tenant.handedBack({
      ...said,
      fd: ours ? fd : null,
      heardMs: this.#slots.heardMs[slot] ?? 0,
      paidMs: this.#slots.paidMs[slot] ?? 0,
    });
  }

  /** The descriptor of a parked session was closed by somebody else, and its number belongs to another. */
  #lose(slot: number): void {
    this.#slots.fd[slot] = -1;
    this.recall(slot);
  }

  // A worker that fails.

  #retire(): void {
    if (this.#ended || this.#slots.fenced) return;
    this.fence();
    this.#thread.dismiss(!this.#ready);
  }

  #end(problem: Error | null): void {
    this.#ended = true;
    this.#slots.fence();
    shifts.delete(this);
    if (shifts.size === 0) process.off("exit", fenceAll);
    this.#epoll.close();
    this.#bell.close();
    const reserve = (this.#slots.control[word.reserve] ?? 0) - 1;
    if (reserve >= 0) closeFd(reserve);
    this.#takeOver();
    this.#options.onEnd(this, problem);
  }

  /** Everybody who is still parked is handed back, with what the worker had read and not dealt with. */
  #takeOver(): void {
    const { control, room, generation } = this.#slots;
    const inHand = control[word.hand] === hand.read ? (control[word.handSlot] ?? -1) : -1;
    const sameTenant = generation[inHand] === (control[word.handGeneration] ?? 0) >>> 0;
    for (const [slot, tenant] of this.#tenants.entries()) {
      if (tenant === null) continue;
      if (tenant === newcomer) {
        const fd = this.release(slot);
        if (fd >= 0) this.#options.reception?.stranded(fd);
        continue;
      }
      const read = slot === inHand && sameTenant;
      const bytes = read ? Uint8Array.from(room.subarray(0, control[word.handLength])) : null;
      this.#leave(slot, { why: "taken-over", bytes, unsent: null, failed: null });
    }
  }
}

const shifts = new Set<Shift>();

/** Node waits for its workers when it ends, and one that sits in the kernel would not come. */
function fenceAll(): void {
  for (const shift of shifts) shift.fence();
}
