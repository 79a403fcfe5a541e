import type { Keepalive } from "./keepalive.js";
import type { Silence } from "./silence.js";

/** A flow's row has three parts of so many words: the flow itself, then its sides. Two words make room for a double. */
export const partWords = 32;
export const rowWords = 3 * partWords;
/** Rows that are allocated at once: a power of two, and under a megabyte, for most captures show few connections. */
export const slabBits = 11;
export const slabRows = 1 << slabBits;

/**
 * Room for many flows in two arrays over the same bytes. As objects a flow and its sides would be some twenty, for V8 keeps each
 * double in one of its own: three times the memory, and all of it for the garbage collector to walk.
 */
export class Slab {
  readonly ints = new Int32Array(slabRows * rowWords);
  readonly doubles = new Float64Array(this.ints.buffer);
  /** What few sides have, by the number of the part. */
  readonly silences = nulls<Silence>(3 * slabRows);
  readonly keepalives = nulls<Keepalive>(3 * slabRows);
}

function nulls<T>(length: number): (T | null)[] {
  return Array.from<T | null>({ length }).fill(null);
}

/** A view of a part of a row, moved from one to the next: no object is made for a packet, nor for a flow. */
export class RowView {
  slab: Slab;
  ints: Int32Array;
  doubles: Float64Array;
  /** The part's first word. */
  word = 0;

  constructor(slab: Slab) {
    this.slab = slab;
    this.ints = slab.ints;
    this.doubles = slab.doubles;
  }

  look(slab: Slab): void {
    this.slab = slab;
    this.ints = slab.ints;
    this.doubles = slab.doubles;
  }
}

/** Gives a class its fields in words from `first` on, in this order: signed 32-bit numbers. */
export function int32Fields<T extends RowView>(
  of: { prototype: T },
  first: number,
  names: (keyof T)[],
): void {
  names.forEach((name, index) => {
    const at = first + index;
    Object.defineProperty(of.prototype, name, {
      get(this: RowView): number {
        return this.ints[this.word + at] as number;
      },
      set(this: RowView, value: number) {
        this.ints[this.word + at] = value;
      },
    });
  });
}

/** The same, for counts: unsigned. */
export function uint32Fields<T extends RowView>(
  of: { prototype: T },
  first: number,
  names: (keyof T)[],
): void {
  names.forEach((name, index) => {
    const at = first + index;
    Object.defineProperty(of.prototype, name, {
      get(this: RowView): number {
        return (this.ints[this.word + at] as number) >>> 0;
      },
      set(this: RowView, value: number) {
        this.ints[this.word + at] = value;
      },
    });
  });
}

/** The same, for yes and no. */
export function booleanFields<T extends RowView>(
  of: { prototype: T },
  first: number,
  names: (keyof T)[],
): void {
  names.forEach((name, index) => {
    const at = first + index;
    Object.defineProperty(of.prototype, name, {
      get(this: RowView): boolean {
        return this.ints[this.word + at] !== 0;
      },
      set(this: RowView, value: boolean) {
        this.ints[this.word + at] = value ? 1 : 0;
      },
    });
  });
}

/** The same, for times: doubles, of which `first` counts words, too. */
export function doubleFields<T extends RowView>(
  of: { prototype: T },
  first: number,
  names: (keyof T)[],
): void {
  names.forEach((name, index) => {
    const at = first / 2 + index;
    Object.defineProperty(of.prototype, name, {
      get(this: RowView): number {
        return this.doubles[(this.word >> 1) + at] as number;
      },
      set(this: RowView, value: number) {
        this.doubles[(this.word >> 1) + at] = value;
      },
    });
  });
}
