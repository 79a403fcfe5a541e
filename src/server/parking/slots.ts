import { peerBytes } from "../../kernel/accept.js";

/** Where the two threads' common words lie in `Slots.control`. */
export const word = {
  /** Counted by the attendant each time round: who stands still hangs. */
  turns: 0,
  /** Set by the owner: the attendant touches no descriptor any more. */
  fenced: 1,
  /** Orders written, by the owner; orders read, by the attendant. */
  written: 2,
  read: 3,
  /** What the attendant has read and not yet answered or handed back: its slot and the tenant there, its length, and how far it is. */
  handSlot: 4,
  handGeneration: 5,
  handLength: 6,
  hand: 7,
  /** Connections that the attendant has accepted and that have said nothing yet; by the attendant. */
  greeting: 8,
  /** Those that have, but not all of a hello; by the owner. */
  greetingElsewhere: 9,
  /** A descriptor that is given up to refuse a connection where there are no others, plus one; 0: none. By the attendant. */
  reserve: 10,
  /** How far the attendant's thread is with loading what reaches the kernel: see `loading`. */
  loading: 11,
} as const;
const controlWords = 16;

/** Of `word.hand`. Once an answer is on its way, the bytes count as answered. */
export const hand = { empty: 0, read: 1, answering: 2 } as const;

/**
 * Of `word.loading`. A thread that is ended while it loads a native addon takes the whole process along: the addon wants to throw, and
 * cannot. So it says when it does, and does not begin once it is fenced.
 */
export const loading = { before: 0, now: 1, done: 2 } as const;

/**
 * `keep`: park whom the attendant itself has accepted, and the owner has had watched; `grant`: a slot for one that it will; `listen` and `deafen`: accept at a
 * listener, or not any more, whose number stands in the slot's place.
 */
export const order = { park: 0, recall: 1, keep: 2, grant: 3, listen: 4, deafen: 5 } as const;
const orderBits = 3;

/** What an order says, and about which slot. */
export const orderOf = (given: number): number => given & (2 ** orderBits - 1);
export const slotOf = (given: number): number => given >>> orderBits;

/** Listening sockets at a time. */
export const mostListeners = 16;
/** In place of a listener's descriptor: nobody accepts there. */
export const deaf = -1;

/** As much as one read brings. */
const roomBytes = 65_536;

/**
 * What is known of parked sessions, in memory that two threads share: the owner (the main thread) writes a slot before it parks and
 * reads it once it has it back; in between it belongs to the attendant (the worker), and the owner only looks at `heardMs`.
 */
export class Slots {
  readonly memory: SharedArrayBuffer;
  readonly capacity: number;
  /** When the peer was last heard, and until when its beats are paid for, on the owner's monotonic clock. */
  readonly heardMs: Float64Array;
  readonly paidMs: Float64Array;
  /** Silence after which the session has to be looked at. */
  readonly patienceMs: Float64Array;
  /** The last message that was taken from the peer, and the last of ours that it has said to have taken. */
  readonly received: Float64Array;
  readonly acknowledged: Float64Array;
  readonly sendEveryMs: Uint32Array;
  readonly fd: Int32Array;
  /** Counts a slot's tenants: what was meant for the one before reaches nobody. */
  readonly generation: Uint32Array;
  /** The other side's address, as the kernel says it, `peerBytes` each. */
  readonly peers: Buffer;
  /** Listeners' descriptors: written by the owner before `listen`, and by the attendant as `deaf` after `deafen`. */
  readonly listeners: Int32Array;
  /** See `word`. */
  readonly control: Int32Array;
  /** What arrives is read into this. */
  readonly room: Buffer;
  readonly #orders: Int32Array;

  /** @param memory of the other thread's Slots of the same capacity. */
  constructor(capacity: number, memory?: SharedArrayBuffer) {
    this.capacity = capacity;
    // A slot has at most three orders underway: one of its last tenant, and two of this one.
    const orders = 2 ** Math.ceil(Math.log2(capacity * 4 + mostListeners * 2));
    const each = 5 * 8 + 3 * 4 + peerBytes;
    const slack = 8 * 8;
    this.memory =
      memory ??
      new SharedArrayBuffer(
        roomBytes + (controlWords + mostListeners + orders) * 4 + capacity * each + slack,
      );
    let offset = 0;
    const take = (bytes: number): number => {
      const at = offset;
      offset += Math.ceil(bytes / 8) * 8;
      return at;
    };
    const doubles = (): Float64Array => new Float64Array(this.memory, take(capacity * 8), capacity);
    this.room = Buffer.from(this.memory, take(roomBytes), roomBytes);
    this.control = new Int32Array(this.memory, take(controlWords * 4), controlWords);
    this.listeners = new Int32Array(this.memory, take(mostListeners * 4), mostListeners);
    this.heardMs = doubles();
    this.paidMs = doubles();
    this.patienceMs = doubles();
    this.received = doubles();
    this.acknowledged = doubles();
    this.sendEveryMs = new Uint32Array(this.memory, take(capacity * 4), capacity);
    this.fd = new Int32Array(this.memory, take(capacity * 4), capacity);
    this.generation = new Uint32Array(this.memory, take(capacity * 4), capacity);
    this.peers = Buffer.from(this.memory, take(capacity * peerBytes), capacity * peerBytes);
    this.#orders = new Int32Array(this.memory, take(orders * 4), orders);
  }

  /** By the owner. */
  give(what: number, slot: number): void {
    const written = Atomics.load(this.control, word.written);
    this.#orders[written & (this.#orders.length - 1)] = slot * 2 ** orderBits + what;
    // What was written into the slot before is seen by whoever sees this.
    Atomics.store(this.control, word.written, (written + 1) | 0);
  }

  /** By the attendant. @returns what `orderOf` and `slotOf` read, or -1. */
  next(): number {
    const read = Atomics.load(this.control, word.read);
    if (read === Atomics.load(this.control, word.written)) return -1;
    const given = this.#orders[read & (this.#orders.length - 1)] ?? -1;
    Atomics.store(this.control, word.read, (read + 1) | 0);
    return given;
  }

  /** Does what must not be interrupted, unless it is too late for it. By the attendant's thread. */
  load(work: () => void): void {
    Atomics.store(this.control, word.loading, loading.now);
    // Either this sees the fence, or whoever has set it sees that it has to wait.
    if (!this.fenced) work();
    Atomics.store(this.control, word.loading, loading.done);
    Atomics.notify(this.control, word.loading);
  }

  /** Whether the attendant's thread must not be ended. By the owner, once it has set the fence. */
  get loads(): boolean {
    return Atomics.load(this.control, word.loading) === loading.now;
  }

  /** Blocks this thread until the other one may be ended, so long at most. */
  awaitLoad(mostMs: number): void {
    Atomics.wait(this.control, word.loading, loading.now, mostMs);
  }

  get fenced(): boolean {
    return Atomics.load(this.control, word.fenced) !== 0;
  }

  fence(): void {
    Atomics.store(this.control, word.fenced, 1);
  }
}
