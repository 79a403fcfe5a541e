import { constants } from "node:os";
import {
  answerBareBeats,
  bareBeat,
  readBareBeats,
  type Said,
} from "../../heartbeat/protocol/answer-in-place.js";
import { type Epoll, readiness } from "../../kernel/epoll.js";
import { silence } from "../../kernel/event-fd.js";
import { receive, transmit } from "../../kernel/socket-io.js";
import { TimerWheel } from "../../time/timer-wheel.js";
import { beatBurst } from "../beat-rate.js";
import type { Handback, Why } from "./handback.js";
import { firstListener, Porter } from "./porter.js";
import { hand, order, orderOf, slotOf, type Slots, word } from "./slots.js";

/** What the bell is known by in the epoll set: no slot has it. */
export const bellSlot = 0xffff_ffff;
/** So often it counts a turn, whatever happens. */
const longestWaitMs = 1_000;
/** So much later deadlines may be looked at, for something else to wake the thread first: a wake-up costs as much as a beat. */
const slackMs = 20;
/** Deadlines looked at between two reads. */
const batch = 1_000;
/** With more ready than one turn takes, deadlines wait, for what proves a peer alive may lie unread; but not for ever. */
const mostFullTurns = 50;

export interface AttendantOptions {
  readonly slots: Slots;
  readonly epoll: Epoll;
  /** An eventfd, rung for orders. */
  readonly bell: number;
  readonly beatEveryMs: number;
  readonly handshakeMs: number;
  readonly mostGreeting: number;
  readonly now: () => number;
  readonly handBack: (back: Handback) => void;
  readonly arrived: (arrivals: readonly number[]) => void;
}

/**
 * Keeps parked sessions: answers their beats, and hands back whatever asks for more than that. It owns and closes nobody's
 * descriptor; one is its to use from the order to park until it hands the slot back, or, where it accepts, until it says who came.
 *
 * @example
 * const attendant = new Attendant({ slots, epoll, bell, now, handBack, arrived, ...data });
 * while (!slots.fenced) attendant.turn();
 */
export class Attendant {
  readonly #options: AttendantOptions;
  readonly #slots: Slots;
  readonly #epoll: Epoll;
  readonly #wheel: TimerWheel;
  /** The generation of the tenant in each slot, plus one; 0: nobody. */
  readonly #tenant: Float64Array;
  readonly #porter: Porter;
  readonly #oneBeat: Buffer;
  readonly #said: Said = { sendEveryMs: 0, received: 0 };
  readonly #own: Said = { sendEveryMs: 0, received: 0 };
  #fullTurns = 0;
  /** When the wheel is next looked at; asking it each turn would cost more than a beat. */
  #lookMs = Number.POSITIVE_INFINITY;

  constructor(options: AttendantOptions) {
    this.#options = options;
    this.#slots = options.slots;
    this.#epoll = options.epoll;
    this.#wheel = new TimerWheel({ startMs: options.now() });
    this.#tenant = new Float64Array(options.slots.capacity);
    this.#oneBeat = options.slots.room.subarray(0, bareBeat);
    this.#epoll.add(options.bell, bellSlot, 0);
    const { slots, epoll, bell: spare, handshakeMs, mostGreeting, arrived: tell } = options;
    const moveIn = (slot: number, dueMs: number): void => this.#moveIn(slot, dueMs);
    const moveOut = (slot: number): void => this.#moveOut(slot);
    this.#porter = new Porter({ slots, epoll, spare, handshakeMs, mostGreeting, moveIn, moveOut, tell });
  }

  /** Waits for something, a second at most, and does what there is to do. */
  turn(): void {
    const askedMs = this.#options.now();
    const count = this.#epoll.wait(this.#waitMs(askedMs));
    Atomics.add(this.#slots.control, word.turns, 1);
    const nowMs = this.#options.now();
    // Who is kept is watched already, by the owner: the order stands before the first event.
    this.#obey();
    for (let event = 0; event < count && !this.#slots.fenced; event++) {
      const slot = this.#epoll.low(event);
      if (slot === bellSlot) silence(this.#options.bell);
      else if (slot >= firstListener) this.#porter.accept(slot - firstListener, nowMs);
      // Of an earlier tenant, whose connection somebody else may have kept open under another number: nobody can take that out of the set.
      else if (this.#tenant[slot] !== this.#epoll.high(event) + 1) continue;
      else if (this.#porter.greets(slot)) this.#porter.heard(slot);
      else this.#serve(slot, this.#epoll.what(event), nowMs);
    }
    // Again, for what was ordered before the bell was silenced.
    this.#obey();
    this.#fullTurns = count === this.#epoll.most ? this.#fullTurns + 1 : 0;
    // By the time at which it was asked what is ready, for this thread may have stood still since then: whoever was heard by then is served.
    if (askedMs >= this.#lookMs && this.#fullTurns % mostFullTurns === 0) this.#lookAt(askedMs);
    if (!this.#slots.fenced) this.#porter.finish(nowMs, count === 0);
  }

  #waitMs(nowMs: number): number {
    if (this.#porter.hasNews) return 0;
    const nextMs = Math.min(this.#lookMs + slackMs - nowMs, this.#porter.waitMs(nowMs));
    return Math.min(longestWaitMs, Math.max(0, Math.ceil(nextMs)));
  }

  #lookAt(nowMs: number): void {
    this.#wheel.advance(nowMs, (slot) => this.#look(slot, nowMs), batch);
    this.#lookMs = this.#wheel.nextMs() ?? Number.POSITIVE_INFINITY;
  }

  #obey(): void {
    for (let given = this.#slots.next(); given >= 0 && !this.#slots.fenced; given = this.#slots.next())
      this.#do(orderOf(given), slotOf(given));
  }

  #do(what: number, slot: number): void {
    switch (what) {
      case order.park:
        this.#park(slot);
        break;
      case order.keep:
        this.#moveIn(slot, this.#dueMs(slot));
        break;
      case order.recall:
        // What was handed back meanwhile is on its way already.
        if (this.#tenant[slot] !== 0) this.#handBack(slot, "recalled");
        break;
      case order.grant:
        this.#porter.grant(slot);
        break;
      case order.listen:
        this.#porter.listen(slot);
        break;
      default:
        this.#porter.deafen(slot);
    }
  }

  #moveIn(slot: number, dueMs: number): void {
    this.#tenant[slot] = at(this.#slots.generation, slot) + 1;
    this.#wheel.set(slot, dueMs);
    this.#lookMs = Math.min(this.#lookMs, dueMs);
  }

  #moveOut(slot: number): void {
    this.#tenant[slot] = 0;
    this.#wheel.delete(slot);
  }

  #dueMs(slot: number): number {
    return at(this.#slots.heardMs, slot) + at(this.#slots.patienceMs, slot);
  }

  #park(slot: number): void {
    this.#moveIn(slot, this.#dueMs(slot));
    try {
      this.#epoll.add(at(this.#slots.fd, slot), slot, at(this.#slots.generation, slot));
    } catch {
      // No memory, no watches left, or nothing there any more: its owner keeps it as it kept it before.
      this.#handBack(slot, "refused");
    }
  }

  /** A deadline has come: whoever was heard meanwhile only gets the next one. */
  #look(slot: number, nowMs: number): void {
    if (this.#slots.fenced) return;
    const dueMs = this.#dueMs(slot);
    if (this.#porter.greets(slot)) this.#porter.overdue(slot);
    else if (dueMs > nowMs) this.#wheel.set(slot, dueMs);
    else this.#handBack(slot, "due");
  }

  #serve(slot: number, what: number, nowMs: number): void {
    // The kernel tells an error once: to whoever will have to say what became of the connection.
    if ((what & (readiness.error | readiness.hangUp)) !== 0) {
      this.#handBack(slot, "ended");
      return;
    }
    const { room, control } = this.#slots;
    const length = receive(at(this.#slots.fd, slot), room);
    if (length <= 0) {
      if (length === -constants.errno.EAGAIN) return;
      this.#handBack(slot, "ended", length === 0 ? {} : { errno: -length, syscall: "read" });
      return;
    }
    control[word.handSlot] = slot;
    control[word.handGeneration] = at(this.#slots.generation, slot);
    control[word.handLength] = length;
    control[word.hand] = hand.read;
    const chunk = length === bareBeat ? this.#oneBeat : room.subarray(0, length);
    if (!this.#answers(slot, chunk, nowMs)) this.#handBack(slot, "arrived", { bytes: copyOf(chunk) });
    else if (length === room.length || (what & readiness.peerEnded) !== 0) this.#lookAgain(slot);
    control[word.hand] = hand.empty;
  }

  /** There is more: another full read, or the end behind what was read. */
  #lookAgain(slot: number): void {
    // It may have been handed back.
    if (this.#tenant[slot] === 0) return;
    try {
      this.#epoll.again(at(this.#slots.fd, slot), slot, at(this.#slots.generation, slot));
    } catch {
      // Closed by somebody else.
      this.#handBack(slot, "refused");
    }
  }

  /** @returns false: these are not beats that change nothing, or too many. Nothing was done then. */
  #answers(slot: number, chunk: Buffer, nowMs: number): boolean {
    const slots = this.#slots;
    const count = readBareBeats(chunk, this.#said);
    if (count === 0) return false;
    if (this.#said.sendEveryMs !== slots.sendEveryMs[slot]) return false;
    if (this.#said.received !== slots.acknowledged[slot]) return false;
    const { beatEveryMs } = this.#options;
    const paidMs = at(slots.paidMs, slot);
    if (paidMs - nowMs > (beatBurst - count) * beatEveryMs) return false;
    slots.paidMs[slot] = Math.max(nowMs, paidMs) + count * beatEveryMs;
    slots.heardMs[slot] = nowMs;
    this.#own.received = at(slots.received, slot);
    slots.control[word.hand] = hand.answering;
    answerBareBeats(chunk, this.#own);
    const taken = transmit(at(slots.fd, slot), slots.room, chunk.length);
    if (taken === chunk.length) return true;
    if (taken < 0 && taken !== -constants.errno.EAGAIN)
      this.#handBack(slot, "ended", { errno: -taken, syscall: "write" });
    else this.#handBack(slot, "full", { unsent: copyOf(chunk.subarray(Math.max(0, taken))) });
    return true;
  }

  #handBack(slot: number, why: Why, more: Partial<Handback> = {}): void {
    const generation = at(this.#tenant, slot) - 1;
    this.#moveOut(slot);
    this.#epoll.remove(at(this.#slots.fd, slot));
    this.#options.handBack({ slot, generation, why, ...nothing, ...more });
  }
}

const nothing = { bytes: null, unsent: null, errno: 0, syscall: null } as const;

/** Within bounds by construction; the compiler cannot know. */
function at(array: Float64Array | Int32Array | Uint32Array, index: number): number {
  return array[index] as number;
}

/** Out of the memory that the next read overwrites. */
function copyOf(bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(bytes.length);
  copy.set(bytes);
  return copy;
}
