import { accept, acceptProblem, peerBytes } from "../../kernel/accept.js";
import type { Epoll } from "../../kernel/epoll.js";
import { closeFd, duplicate } from "../../kernel/socket-io.js";
import { arrival, type ArrivalKind } from "./handback.js";
import { deaf, mostListeners, type Slots, word } from "./slots.js";

/** What listeners are known by in the epoll set; slots have lower numbers. */
export const firstListener = 0xffff_0000;
/** Connections taken before what else is ready is looked at. */
const acceptBatch = 128;
/** With fewer slots than this it asks for more; its owner sees what was used when something arrives. */
const fewVacant = 128;
/** Arrivals are one message as long as more come at once, but not for longer than this. */
const mostArrivals = 64;
const mostTurns = 8;
/** After an error that the next try would only meet again. */
const restMs = 100;

export interface PorterOptions {
  readonly slots: Slots;
  readonly epoll: Epoll;
  /** An open descriptor, of whatever. */
  readonly spare: number;
  /** For how long a connection may say nothing. */
  readonly handshakeMs: number;
  /** Such connections at a time. */
  readonly mostGreeting: number;
  /** Somebody is in this slot from now on, and is looked at again then. */
  readonly moveIn: (slot: number, dueMs: number) => void;
  readonly moveOut: (slot: number) => void;
  /** What `arrival` makes; none: it needs slots. */
  readonly tell: (arrivals: readonly number[]) => void;
}

/**
 * Takes connections in, into slots that it was granted, and hands each to the owner when something has come over it, unread. Where
 * there are no slots it stops accepting, and who comes waits in the kernel.
 *
 * @example
 * const porter = new Porter({ slots, epoll, spare: bell, handshakeMs: 10_000, mostGreeting: 10_000, moveIn, moveOut, tell });
 */
export class Porter {
  readonly #options: PorterOptions;
  readonly #slots: Slots;
  readonly #vacant: number[] = [];
  readonly #greets: Uint8Array;
  readonly #peer = Buffer.alloc(peerBytes);
  /** By listener: it is to be accepted at; it is in the set. */
  readonly #listens = new Uint8Array(mostListeners);
  readonly #watched = new Uint8Array(mostListeners);
  #resting = false;
  #restUntilMs = 0;
  #asked = false;
  #arrivals: number[] = [];
  /** Since there are any. */
  #turns = 0;

  constructor(options: PorterOptions) {
    this.#options = options;
    this.#slots = options.slots;
    this.#greets = new Uint8Array(options.slots.capacity);
    this.#keepReserve();
  }

  grant(slot: number): void {
    this.#vacant.push(slot);
    this.#asked = false;
  }

  listen(listener: number): void {
    this.#listens[listener] = 1;
  }

  /** Its owner closes the listener after this. */
  deafen(listener: number): void {
    this.#listens[listener] = 0;
    this.#unwatch(listener);
    Atomics.store(this.#slots.listeners, listener, deaf);
  }

  /** Whether this slot's connection has said nothing yet. */
  greets(slot: number): boolean {
    return this.#greets[slot] === 1;
  }

  /** There is something to say, unless more is ready that could be said along with it. */
  get hasNews(): boolean {
    return this.#arrivals.length > 0;
  }

  /** How long it may be waited for what is ready. */
  waitMs(nowMs: number): number {
    return this.#resting ? Math.max(0, this.#restUntilMs - nowMs) : Number.POSITIVE_INFINITY;
  }

  accept(listener: number, nowMs: number): void {
    if (this.#listens[listener] === 0) return;
    const fd = this.#slots.listeners[listener] ?? deaf;
    for (let taken = 0; taken < acceptBatch && this.#vacant.length > 0; taken++)
      if (!this.#takeOne(fd, nowMs)) return;
  }

  /** Something has come, or the connection has ended. */
  heard(slot: number): void {
    this.#hand(slot, "heard");
  }

  overdue(slot: number): void {
    this.#hand(slot, "overdue");
  }

  /** After everything else of a turn. @param idle nothing was ready in it. */
  finish(nowMs: number, idle: boolean): void {
    if (this.#resting && nowMs >= this.#restUntilMs) {
      this.#resting = false;
      this.#keepReserve();
    }
    const accepting = !this.#resting && this.#vacant.length > 0;
    const stops = !accepting && this.#watched.includes(1);
    for (let listener = 0; listener < mostListeners; listener++)
      if (!accepting) this.#unwatch(listener);
      else if (this.#listens[listener] === 1 && this.#watched[listener] === 0) this.#watch(listener, nowMs);
    const asks = stops || (this.#vacant.length < fewVacant && !this.#asked && this.#listens.includes(1));
    if (this.#arrivals.length === 0 && !asks) return;
    const waits = !idle && this.#arrivals.length < mostArrivals && ++this.#turns < mostTurns;
    if (waits && !asks) return;
    this.#turns = 0;
    this.#asked ||= asks;
    this.#options.tell(this.#arrivals);
    this.#arrivals = [];
  }

  /** @returns false: there is nobody else for now. */
  #takeOne(listener: number, nowMs: number): boolean {
    const fd = accept(listener, this.#peer);
    if (fd < 0) return this.#goesOn(-fd, listener, nowMs);
    const slot = this.#put(fd);
    const { control } = this.#slots;
    const others = (control[word.greetingElsewhere] ?? 0) + (control[word.greeting] ?? 0);
    if (others >= this.#options.mostGreeting) this.#say(slot, "excess");
    else this.#await(slot, fd, nowMs);
    return true;
  }

  #put(fd: number): number {
    const slot = this.#vacant.pop() as number;
    this.#slots.fd[slot] = fd;
    this.#peer.copy(this.#slots.peers, slot * peerBytes);
    return slot;
  }

  #await(slot: number, fd: number, nowMs: number): void {
    try {
      this.#options.epoll.addOnce(fd, slot, this.#slots.generation[slot] ?? 0);
    } catch {
      // No memory, no watches left: Node may have more luck with it.
      this.#say(slot, "heard");
      return;
    }
    this.#greets[slot] = 1;
    this.#count(1);
    this.#options.moveIn(slot, nowMs + this.#options.handshakeMs);
  }

  #hand(slot: number, kind: ArrivalKind): void {
    this.#greets[slot] = 0;
    this.#count(-1);
    this.#options.moveOut(slot);
    this.#say(slot, kind);
  }

  #count(more: 1 | -1): void {
    const { control } = this.#slots;
    control[word.greeting] = (control[word.greeting] ?? 0) + more;
  }

  #say(slot: number, kind: ArrivalKind): void {
    this.#arrivals.push(arrival(slot, kind));
  }

  /** @returns whether the next one may be tried. */
  #goesOn(errno: number, listener: number, nowMs: number): boolean {
    switch (acceptProblem(errno)) {
      case "empty":
        return false;
      case "next":
        return true;
      case "no-descriptors":
        if (this.#turnAway(listener)) return true;
    }
    this.#rest(nowMs);
    return false;
  }

  /** The process is full: whoever waits is told so by the connection's end, by way of a descriptor that was kept for this. */
  #turnAway(listener: number): boolean {
    const reserve = (this.#slots.control[word.reserve] ?? 0) - 1;
    if (reserve < 0) return false;
    this.#slots.control[word.reserve] = 0;
    closeFd(reserve);
    const fd = accept(listener, this.#peer);
    if (fd >= 0) {
      closeFd(fd);
      this.#say(this.#put(-1), "full");
    }
    this.#keepReserve();
    return fd >= 0;
  }

  #keepReserve(): void {
    if (this.#slots.control[word.reserve] !== 0) return;
    const fd = duplicate(this.#options.spare);
    if (fd >= 0) this.#slots.control[word.reserve] = fd + 1;
  }

  #rest(nowMs: number): void {
    this.#resting = true;
    this.#restUntilMs = nowMs + restMs;
  }

  #watch(listener: number, nowMs: number): void {
    try {
      this.#options.epoll.addListener(this.#slots.listeners[listener] ?? deaf, firstListener + listener, 0);
      this.#watched[listener] = 1;
    } catch {
      this.#rest(nowMs);
    }
  }

  #unwatch(listener: number): void {
    if (this.#watched[listener] === 0) return;
    this.#watched[listener] = 0;
    this.#options.epoll.remove(this.#slots.listeners[listener] ?? deaf);
  }
}
