import { Worker } from "node:worker_threads";
import { createEpoll } from "../../kernel/epoll.js";
import { createEventFd, ring } from "../../kernel/event-fd.js";
import type { OwnedFd } from "../../kernel/fd.js";
import { check, libc } from "../../kernel/libc.js";
import { socketCookie } from "../../kernel/socket-cookie.js";
import type { TimerClock } from "../../time/clock.js";
import type { AttendantData, Handback, Why } from "./handback.js";
import { hand, order, Slots, word } from "./slots.js";

/** Whoever is parked. */
export interface Tenant {
  /** It is out of the lot, and the descriptor is its own from now on. */
  handedBack(back: HandedBack): void;
}

/** What the lot knows of a session that leaves it. */
export interface HandedBack {
  /** null: somebody else has closed it. */
  readonly fd: number | null;
  /** `taken-over`: the worker is no more. */
  readonly why: Why | "taken-over";
  readonly bytes: Uint8Array | null;
  readonly unsent: Uint8Array | null;
  /** A read or write that failed. */
  readonly failed: { readonly errno: number; readonly syscall: "read" | "write" } | null;
  readonly heardMs: number;
  readonly paidMs: number;
}

/** What the attendant has to know of a session. */
export interface Terms {
  readonly heardMs: number;
  readonly paidMs: number;
  readonly patienceMs: number;
  readonly sendEveryMs: number;
  readonly received: number;
  readonly acknowledged: number;
}

export interface ShiftOptions {
  readonly clock: TimerClock;
  readonly capacity: number;
  readonly beatEveryMs: number;
  /** How often the worker is looked at; one that has stood still for three looks hangs. */
  readonly watchMs: number;
  /** The worker has ended, and nobody is parked any more. */
  readonly onEnd: (shift: Shift, problem: Error | null) => void;
  /** Instead of deadpeer's own, for tests of what goes wrong. */
  readonly worker?: URL;
}

const strikesOut = 3;
/** After being fenced it touches no descriptor; its last call into the kernel returns within a second. */
const patienceWithEndMs = 5_000;

/**
 * One worker thread, from its start to its end, and the sessions that are parked with it. Every descriptor in here has one owner at
 * each moment: the tenant until `park` says true and from `handedBack` on, the shift in between; the worker only uses it.
 */
export class Shift {
  readonly #options: ShiftOptions;
  readonly #slots: Slots;
  readonly #epoll: OwnedFd;
  readonly #bell: OwnedFd;
  readonly #worker: Worker;
  readonly #tenants: (Tenant | null)[] = [];
  readonly #cookies: BigUint64Array;
  /** The slot of each parked descriptor, plus one. */
  #slotOfFd = new Int32Array(1_024);
  readonly #recalled: Uint8Array;
  readonly #free: number[] = [];
  #parked = 0;
  #ready = false;
  #ended = false;
  #ringing = false;
  #problem: Error | null = null;
  #watch: object | null = null;
  #turns = 0;
  #strikes = 0;
  readonly #exit: Promise<void>;
  #exited: () => void = () => {};

  /** @throws DeadpeerError `syscall-failed`, as EMFILE. */
  constructor(options: ShiftOptions) {
    this.#options = options;
    this.#slots = new Slots(options.capacity);
    this.#cookies = new BigUint64Array(options.capacity);
    this.#recalled = new Uint8Array(options.capacity);
    this.#epoll = createEpoll();
    try {
      this.#bell = createEventFd();
    } catch (error) {
      this.#epoll.close();
      throw error;
    }
    const workerData: AttendantData = {
      memory: this.#slots.memory,
      capacity: options.capacity,
      epoll: this.#epoll.fd,
      bell: this.#bell.fd,
      beatEveryMs: options.beatEveryMs,
      zeroMs: options.clock.monotonic() - Number(process.hrtime.bigint()) / 1e6,
    };
    // Options of this process, such as --input-type, need not fit a file.
    this.#worker = new Worker(options.worker ?? new URL("worker.js", import.meta.url), {
      workerData,
      execArgv: [],
      name: "deadpeer parking",
    });
    this.#worker.unref();
    this.#exit = new Promise((resolve) => {
      this.#exited = resolve;
    });
    this.#worker.on("message", (message: Handback | "ready") => {
      if (message === "ready") this.#ready = true;
      else this.#takeBack(message);
    });
    this.#worker.on("error", (error: Error) => {
      this.#problem = error;
    });
    this.#worker.on("exit", () => this.#end());
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
    const squatter = (this.#slotOfFd[fd] ?? 0) - 1;
    // The kernel gives no number twice: whoever had it here was closed by somebody else.
    if (squatter >= 0) this.#lose(squatter);
    const slot = this.#free.pop() ?? this.#tenants.length;
    if (slot >= this.#options.capacity) return -1;
    const slots = this.#slots;
    slots.fd[slot] = fd;
    slots.generation[slot] = ((slots.generation[slot] ?? 0) + 1) >>> 0;
    slots.heardMs[slot] = terms.heardMs;
    slots.paidMs[slot] = terms.paidMs;
    slots.patienceMs[slot] = terms.patienceMs;
    slots.sendEveryMs[slot] = terms.sendEveryMs;
    slots.received[slot] = terms.received;
    slots.acknowledged[slot] = terms.acknowledged;
    this.#cookies[slot] = cookie;
    this.#recalled[slot] = 0;
    this.#tenants[slot] = tenant;
    this.#noteFd(fd, slot + 1);
    this.#order(order.park, slot);
    if (this.#parked++ === 0) this.#worker.ref();
    this.#keepWatch();
    return slot;
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
    await this.#exit;
  }

  /** The process ends, and with it nothing may wait in the kernel. */
  fence(): void {
    this.#slots.fence();
    ring(this.#bell.fd);
  }

  #order(what: number, slot: number): void {
    this.#slots.give(what, slot);
    if (this.#ringing) return;
    // Many at once cost one system call.
    this.#ringing = true;
    process.nextTick(() => {
      this.#ringing = false;
      if (!this.#ended) ring(this.#bell.fd);
    });
  }

  #noteFd(fd: number, value: number): void {
    if (fd >= this.#slotOfFd.length) {
      const roomier = new Int32Array(2 ** Math.ceil(Math.log2(fd + 1)));
      roomier.set(this.#slotOfFd);
      this.#slotOfFd = roomier;
    }
    this.#slotOfFd[fd] = value;
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
    if (--this.#parked === 0) this.#worker.unref();
    if (fd >= 0) this.#noteFd(fd, 0);
    const ours = fd >= 0 && socketCookie(fd) === this.#cookies[slot];
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

  #keepWatch(): void {
    if (this.#watch !== null || this.#ended) return;
    this.#watch = this.#options.clock.set(() => this.#lookAfter(), this.#options.watchMs);
  }

  #lookAfter(): void {
    this.#watch = null;
    const turns = Atomics.load(this.#slots.control, word.turns);
    this.#strikes = turns === this.#turns ? this.#strikes + 1 : 0;
    this.#turns = turns;
    if (this.#strikes >= strikesOut) {
      this.#problem = new Error("the parking worker hangs");
      this.#retire();
    } else if (this.#parked > 0) this.#keepWatch();
  }

  #retire(): void {
    if (this.#ended || this.#slots.fenced) return;
    this.fence();
    const { clock } = this.#options;
    const terminate = (): void => void this.#worker.terminate();
    // It leaves by itself; one that hangs does not, and is ended where it stands.
    if (this.#problem !== null || !this.#ready) terminate();
    const overdue = clock.set(terminate, patienceWithEndMs);
    void this.#exit.then(() => clock.clear(overdue));
  }

  #end(): void {
    this.#ended = true;
    this.#slots.fence();
    shifts.delete(this);
    if (shifts.size === 0) process.off("exit", fenceAll);
    if (this.#watch !== null) this.#options.clock.clear(this.#watch);
    this.#epoll.close();
    this.#bell.close();
    this.#takeOver();
    this.#exited();
    this.#options.onEnd(this, this.#problem);
  }

  /** Everybody who is still parked is handed back, with what the worker had read and not dealt with. */
  #takeOver(): void {
    const { control, room, generation } = this.#slots;
    const inHand = control[word.hand] === hand.read ? (control[word.handSlot] ?? -1) : -1;
    const sameTenant = generation[inHand] === (control[word.handGeneration] ?? 0) >>> 0;
    for (const [slot, tenant] of this.#tenants.entries()) {
      if (tenant === null) continue;
      const read = slot === inHand && sameTenant;
      const bytes = read ? Uint8Array.from(room.subarray(0, control[word.handLength])) : null;
      this.#leave(slot, { why: "taken-over", bytes, unsent: null, failed: null });
    }
  }
}

/** Closes a descriptor that nobody wants back. */
export function closeParked(fd: number): void {
  check(libc().close(fd), "close");
}

const shifts = new Set<Shift>();

/** Node waits for its workers when it ends, and one that sits in the kernel would not come. */
function fenceAll(): void {
  for (const shift of shifts) shift.fence();
}
