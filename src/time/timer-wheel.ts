const none = -1;

export interface TimerWheelOptions {
  /** How finely deadlines are told apart: each is met up to so much late, never early. */
  readonly tickMs?: number;
  /** A power of two. A deadline further away than `tickMs * slots` is looked at once each turn of the wheel. */
  readonly slots?: number;
  /** What the caller's clock shows now, in milliseconds from any fixed moment. */
  readonly startMs?: number;
}

/**
 * Very many deadlines, each under a small whole number that the caller gives it (an index into tables of his own). A hashed timer
 * wheel (Varghese and Lauck 1987, scheme 6): setting, moving and deleting take constant time, whatever the number; moving a deadline
 * away, as each sign of life does, is a single write. An entry takes 20 bytes.
 *
 * Pure: the caller says what time it is.
 *
 * @example
 * const wheel = new TimerWheel({ startMs: performance.now() });
 * wheel.set(session.index, performance.now() + 30_000);
 * wheel.advance(performance.now(), (index) => sessions[index].end());
 */
export class TimerWheel {
  readonly tickMs: number;
  readonly #slots: number;
  readonly #startMs: number;
  /** The last tick whose slot has been emptied. */
  #tick = 0;
  #size = 0;
  /** One list for each slot, and one more, the last, of those that are due and not yet handed over. */
  readonly #first: Int32Array;
  #lastDue = none;
  /** One bit for each slot that is not empty: the next one is found without looking at 32 empty ones in between. */
  readonly #occupied: Uint32Array;

  // By entry. A list is doubly linked through the entries; `#listOf` is none for numbers that hold no deadline.
  #deadline = new Float64Array(0);
  #listOf = new Int32Array(0);
  #next = new Int32Array(0);
  #previous = new Int32Array(0);

  constructor({ tickMs = 10, slots = 4096, startMs = 0 }: TimerWheelOptions = {}) {
    if (!(tickMs > 0) || slots < 32 || (slots & (slots - 1)) !== 0)
      throw new RangeError("a timer wheel needs a positive tick and a power of two of slots, 32 or more");
    this.tickMs = tickMs;
    this.#slots = slots;
    this.#startMs = startMs;
    this.#first = new Int32Array(slots + 1).fill(none);
    this.#occupied = new Uint32Array(slots / 32);
  }

  /** How many deadlines are set. */
  get size(): number {
    return this.#size;
  }

  has(entry: number): boolean {
    return (this.#listOf[entry] ?? none) !== none;
  }

  /** @returns null if there is none. */
  deadlineMs(entry: number): number | null {
    return this.has(entry) ? at(this.#deadline, entry) : null;
  }

  /** Sets an entry's deadline, or moves it. One that has passed already is due at the next tick. */
  set(entry: number, deadlineMs: number): void {
    if (entry >= this.#listOf.length) this.#grow(entry);
    const list = at(this.#listOf, entry);
    if (list === none) this.#size++;
    // An entry may stand in an earlier slot than its deadline's: when the wheel comes past, it is put where it belongs.
    else if (list !== this.#slots && deadlineMs >= at(this.#deadline, entry)) {
      this.#deadline[entry] = deadlineMs;
      return;
    } else this.#unlink(entry);
    this.#deadline[entry] = deadlineMs;
    this.#place(entry);
  }

  /** Deletes an entry's deadline; nothing happens where there is none. */
  delete(entry: number): void {
    if (!this.has(entry)) return;
    this.#unlink(entry);
    this.#listOf[entry] = none;
    this.#size--;
  }

  /**
   * Hands over, and deletes, every entry whose deadline has come by `nowMs`, roughly the earlier ones first. `expire` may set and
   * delete as it likes; what it sets is not looked at before the next advance.
   *
   * @param limit hand over no more than these; the others are due at once, and `nextMs` says so. After a long pause this leaves
   *   the caller room to look at what has arrived meanwhile.
   * @returns how many were handed over.
   */
  advance(nowMs: number, expire: (entry: number) => void, limit = Number.POSITIVE_INFINITY): number {
    this.#collect(Math.floor((nowMs - this.#startMs) / this.tickMs), nowMs);
    let handed = 0;
    for (; handed < limit; handed++) {
      const entry = at(this.#first, this.#slots);
      if (entry === none) break;
      this.delete(entry);
      expire(entry);
    }
    return handed;
  }

  /**
   * When `advance` next has something to do, which is not later than the earliest deadline's tick; it may find nothing due, where a
   * deadline has been moved away or lies several turns ahead.
   *
   * @returns null where no deadline is set.
   */
  nextMs(): number | null {
    if (this.#size === 0) return null;
    if (at(this.#first, this.#slots) !== none) return this.#startMs + this.#tick * this.tickMs;
    return this.#startMs + this.#nextOccupiedTick() * this.tickMs;
  }

  /** Moves what is due from the slots passed to the list of those due. A turn of the wheel passes every slot. */
  #collect(tick: number, nowMs: number): void {
    if (tick <= this.#tick) return;
    const passed = Math.min(tick - this.#tick, this.#slots);
    const from = this.#tick + 1;
    this.#tick = tick;
    for (let n = 0; n < passed; n++) {
      const slot = (from + n) & (this.#slots - 1);
      if ((at(this.#occupied, slot >>> 5) & (1 << (slot & 31))) !== 0) this.#empty(slot, nowMs);
    }
  }

  #empty(slot: number, nowMs: number): void {
    // Those that stay are put into slots again, this one among them: the list is taken off first.
    let entry = at(this.#first, slot);
    this.#setFirst(slot, none);
    while (entry !== none) {
      const next = at(this.#next, entry);
      if (at(this.#deadline, entry) <= nowMs) this.#append(entry);
      else this.#place(entry);
      entry = next;
    }
  }

  #place(entry: number): void {
    const due = Math.ceil((at(this.#deadline, entry) - this.#startMs) / this.tickMs);
    // The slot of the current tick has been emptied: what is due by now goes into the next.
    this.#link(entry, Math.max(due, this.#tick + 1) & (this.#slots - 1));
  }

  #link(entry: number, list: number): void {
    const head = at(this.#first, list);
    this.#next[entry] = head;
    this.#previous[entry] = none;
    if (head !== none) this.#previous[head] = entry;
    this.#listOf[entry] = list;
    this.#setFirst(list, entry);
  }

  /** To the end of those due. */
  #append(entry: number): void {
    const due = this.#slots;
    const head = at(this.#first, due);
    this.#listOf[entry] = due;
    this.#next[entry] = none;
    if (head === none) {
      this.#previous[entry] = none;
      this.#first[due] = entry;
    } else {
      this.#previous[entry] = this.#lastDue;
      this.#next[this.#lastDue] = entry;
    }
    this.#lastDue = entry;
  }

  #unlink(entry: number): void {
    const list = at(this.#listOf, entry);
    const next = at(this.#next, entry);
    const previous = at(this.#previous, entry);
    if (next !== none) this.#previous[next] = previous;
    else if (list === this.#slots) this.#lastDue = previous;
    if (previous !== none) this.#next[previous] = next;
    else this.#setFirst(list, next);
  }

  #setFirst(list: number, entry: number): void {
    this.#first[list] = entry;
    if (list === this.#slots) return;
    const word = list >>> 5;
    const bit = 1 << (list & 31);
    this.#occupied[word] = entry === none ? at(this.#occupied, word) & ~bit : at(this.#occupied, word) | bit;
  }

  #nextOccupiedTick(): number {
    const start = (this.#tick + 1) & (this.#slots - 1);
    const words = this.#occupied.length;
    for (let n = 0; n <= words; n++) {
      const word = ((start >>> 5) + n) % words;
      // Of the first word only the bits from `start` on; the last time round, those before it.
      const bits = n === 0 ? at(this.#occupied, word) & (-1 << (start & 31)) : at(this.#occupied, word);
      if (bits === 0) continue;
      const slot = (word << 5) + (31 - Math.clz32(bits & -bits));
      return this.#tick + 1 + ((slot - start) & (this.#slots - 1));
    }
    return this.#tick + 1;
  }

  #grow(entry: number): void {
    const length = Math.max(64, 2 ** Math.ceil(Math.log2(entry + 1)));
    const known = this.#listOf.length;
    this.#deadline = enlarged(this.#deadline, new Float64Array(length));
    this.#next = enlarged(this.#next, new Int32Array(length));
    this.#previous = enlarged(this.#previous, new Int32Array(length));
    this.#listOf = enlarged(this.#listOf, new Int32Array(length)).fill(none, known);
  }
}

/** Within bounds by construction; the compiler cannot know. */
function at(array: Int32Array | Uint32Array | Float64Array, index: number): number {
  return array[index] as number;
}

function enlarged<T extends Int32Array | Float64Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
