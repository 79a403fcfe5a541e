/** A chunk is taken once it is full, and the last that was put into it may go this far beyond before the buffer grows. */
const slackBytes = 65_536;

/**
 * Puts JSON together as bytes. Text outside ASCII, which may stand in the names of programs, is written as JSON's escapes, so
 * that a character is a byte.
 *
 * @example new AsciiWriter(1024).text('{"port":').number(443).text("}").written
 */
export class AsciiWriter {
  readonly #chunkBytes: number;
  #bytes: Uint8Array;
  #used = 0;

  constructor(chunkBytes: number) {
    this.#chunkBytes = chunkBytes;
    this.#bytes = new Uint8Array(chunkBytes + slackBytes);
  }

  /** Bytes written and not yet taken. */
  get length(): number {
    return this.#used;
  }

  piece(bytes: Uint8Array): this {
    const { length } = bytes;
    this.#reserve(length);
    // To call for a copy takes longer than to make a short one.
    if (length > shortPiece) this.#bytes.set(bytes, this.#used);
    else
      for (let index = 0; index < length; index++) this.#bytes[this.#used + index] = bytes[index] as number;
    this.#used += length;
    return this;
  }

  text(text: string): this {
    this.#reserve(text.length * escapeLength);
    this.#used = putText(this.#bytes, this.#used, text);
    return this;
  }

  /** A whole number that is not negative, or null. */
  number(value: number | null): this {
    if (value === null) return this.text("null");
    this.#reserve(maxDigits);
    const bytes = this.#bytes;
    let at = this.#used + digitsOf(value);
    this.#used = at;
    let rest = value;
    // What fits into 31 bits is divided without a detour through floating point.
    for (; rest > maxInt31; rest = Math.floor(rest / 10)) bytes[--at] = (rest % 10) + 0x30;
    let small = rest | 0;
    do {
      const tenth = (small / 10) | 0;
      bytes[--at] = small - tenth * 10 + 0x30;
      small = tenth;
    } while (small > 0);
    return this;
  }

  /** Any number, or null, as JSON.stringify writes it. */
  decimal(value: number | null): this {
    if (value === null || !Number.isFinite(value)) return this.text("null");
    const millionths = Math.round(value * million);
    // Up to 15 digits are told apart by doubles, so that the shortest text of such a number is the number itself.
    if (!(value >= 0) || millionths > maxShortest || millionths / million !== value)
      return this.text(String(value));
    const whole = Math.floor(millionths / million);
    this.number(whole);
    const fraction = millionths - whole * million;
    return fraction === 0 ? this : this.#fraction(fraction);
  }

  /** Millionths behind a point, without zeros at the end. */
  #fraction(millionths: number): this {
    this.#reserve(maxDigits);
    const bytes = this.#bytes;
    let end = this.#used + 7;
    let rest = millionths | 0;
    for (let at = end - 1; at > this.#used; at--) {
      const tenth = (rest / 10) | 0;
      bytes[at] = rest - tenth * 10 + 0x30;
      rest = tenth;
    }
    bytes[this.#used] = 0x2e;
    while (bytes[end - 1] === 0x30) end--;
    this.#used = end;
    return this;
  }

  /** What was written so far: a view that the next `clear` gives over to what comes then. */
  get written(): Uint8Array {
    return this.#bytes.subarray(0, this.#used);
  }

  /** Starts anew in the same buffer. */
  clear(): void {
    this.#used = 0;
  }

  /** Starts anew in a new buffer; `written` stays as it is. */
  renew(): void {
    this.#bytes = new Uint8Array(this.#chunkBytes + slackBytes);
    this.#used = 0;
  }

  #reserve(length: number): void {
    if (this.#used + length <= this.#bytes.length) return;
    const larger = new Uint8Array(2 * (this.#used + length));
    larger.set(this.#bytes.subarray(0, this.#used));
    this.#bytes = larger;
  }
}

const shortPiece = 48;

/** Of the largest whole number that JavaScript holds exactly. */
const maxDigits = 16;

const million = 1e6;
/** 15 digits. */
const maxShortest = 999_999_999_999_999;

const maxInt31 = 0x3fff_ffff;

function digitsOf(value: number): number {
  let digits = 1;
  for (let limit = 10; value >= limit; limit *= 10) digits++;
  return digits;
}

/** "\u00e9" */
const escapeLength = 6;

/** @returns where the text ends. */
function putText(bytes: Uint8Array, start: number, text: string): number {
  let at = start;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit < 0x80) bytes[at++] = unit;
    else for (const character of escaped(unit)) bytes[at++] = character.charCodeAt(0);
  }
  return at;
}

function escaped(unit: number): string {
  return `\\u${unit.toString(16).padStart(4, "0")}`;
}

/** More than this many different ones are not worth keeping: they do not come back. */
const mostPieces = 4_096;

/** The text as bytes, for text that is written over and over. */
export function asciiBytes(text: string): Uint8Array {
  const room = new Uint8Array(text.length * escapeLength);
  return room.slice(0, putText(room, 0, text));
}

/** Text that depends on one value, as bytes, rendered once a value. Objects are told apart by identity. */
export class Pieces<K> {
  readonly #render: (key: K) => string;
  readonly #known = new Map<K, Uint8Array>();

  constructor(render: (key: K) => string) {
    this.#render = render;
  }

  of(key: K): Uint8Array {
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    if (this.#known.size >= mostPieces) this.#known.clear();
    const bytes = asciiBytes(this.#render(key));
    this.#known.set(key, bytes);
    return bytes;
  }
}

/** Text that depends on two values: one copy where two pieces would be two. */
export class PairedPieces<A, B> {
  readonly #render: (first: A, second: B) => string;
  readonly #known = new Map<A, Pieces<B>>();

  constructor(render: (first: A, second: B) => string) {
    this.#render = render;
  }

  of(first: A, second: B): Uint8Array {
    let known = this.#known.get(first);
    if (known === undefined) {
      if (this.#known.size >= mostPieces) this.#known.clear();
      known = new Pieces((key) => this.#render(first, key));
      this.#known.set(first, known);
    }
    return known.of(second);
  }
}
