import { limits } from "../heartbeat/protocol/message.js";
import type { HostedSession } from "./session.js";

/** Ids are compared as numbers of 32 bits. */
const idWords = limits.sessionId / 4;
const fewest = 64;

/**
 * A server's sessions, each in a row, found by its id. What a session that only beats has to know of itself stands here, in typed
 * arrays: a hundred thousand such cost V8's collector nothing, and less memory than a string of the id alone.
 *
 * @example
 * const row = roster.enter(id, session);
 * roster.find(id) === session; // true
 * roster.idOf(row); // "5f0c…"
 */
export class Roster {
  /** By row: when it began, or its client went away. */
  sinceMs = new Float64Array(fewest);
  /** When the client was last sent a beat, and how many it was sent. */
  beatMs = new Float64Array(fewest);
  beats = new Uint32Array(fewest);
  /** The longest message that its client takes. */
  peerMaxPayload = new Uint32Array(fewest);
  readonly #sessions: (HostedSession | null)[] = [];
  readonly #free: number[] = [];
  #ids = Buffer.alloc(fewest * limits.sessionId);
  #words = wordsOf(this.#ids);
  /** Rows, plus one, from where their ids' first word says onwards; 0: nobody. No more than half of it is used. */
  #index = new Int32Array(fewest * 2);
  readonly #key = Buffer.alloc(limits.sessionId);
  readonly #keyWords = wordsOf(this.#key);

  get size(): number {
    return this.#sessions.length - this.#free.length;
  }

  /** @param id which nobody in here has. @returns the row. */
  enter(id: Uint8Array, session: HostedSession): number {
    const row = this.#free.pop() ?? this.#sessions.length;
    if (row >= this.beats.length) this.#grow();
    this.#ids.set(id, row * limits.sessionId);
    this.#sessions[row] = session;
    this.beatMs[row] = Number.NEGATIVE_INFINITY;
    this.beats[row] = 0;
    this.#note(row);
    return row;
  }

  leave(row: number): void {
    this.#strike(row);
    this.#sessions[row] = null;
    this.#free.push(row);
  }

  find(id: Uint8Array): HostedSession | undefined {
    if (id.length !== limits.sessionId) return undefined;
    this.#key.set(id);
    const key = this.#keyWords;
    const mask = this.#index.length - 1;
    for (let at = word(key, 0) & mask; this.#index[at] !== 0; at = (at + 1) & mask) {
      const row = word(this.#index, at) - 1;
      if (this.#holds(row, key)) return this.#sessions[row] ?? undefined;
    }
    return undefined;
  }

  /** @param id as `idOf` gives it. */
  named(id: string): HostedSession | undefined {
    return isId(id) ? this.find(Buffer.from(id, "hex")) : undefined;
  }

  /** In hexadecimal digits. */
  idOf(row: number): string {
    return this.#ids.toString("hex", row * limits.sessionId, (row + 1) * limits.sessionId);
  }

  /** Where in its time something of a session's comes, from 0 to 1: as random as the id. */
  phaseOf(row: number): number {
    return word(this.#words, row * idWords + 1) / 2 ** 32;
  }

  /** Whoever enters meanwhile may be among them, or not. */
  *values(): Generator<HostedSession, undefined> {
    for (const session of this.#sessions) if (session !== null) yield session;
  }

  #holds(row: number, key: Uint32Array): boolean {
    for (let n = 0; n < idWords; n++) if (this.#words[row * idWords + n] !== key[n]) return false;
    return true;
  }

  #home(row: number): number {
    return word(this.#words, row * idWords) & (this.#index.length - 1);
  }

  #note(row: number): void {
    const mask = this.#index.length - 1;
    let at = this.#home(row);
    while (this.#index[at] !== 0) at = (at + 1) & mask;
    this.#index[at] = row + 1;
  }

  /** Whoever had to go further for it moves up (Knuth, The Art of Computer Programming 6.4, algorithm R): no graves are left. */
  #strike(row: number): void {
    const mask = this.#index.length - 1;
    let hole = this.#home(row);
    while (this.#index[hole] !== row + 1) hole = (hole + 1) & mask;
    for (let at = (hole + 1) & mask; this.#index[at] !== 0; at = (at + 1) & mask) {
      const home = this.#home(word(this.#index, at) - 1);
      // From its home on, does it come by the hole?
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      this.#index[hole] = word(this.#index, at);
      hole = at;
    }
    this.#index[hole] = 0;
  }

  #grow(): void {
    const rows = this.beats.length * 2;
    this.sinceMs = enlarged(this.sinceMs, new Float64Array(rows));
    this.beatMs = enlarged(this.beatMs, new Float64Array(rows));
    this.beats = enlarged(this.beats, new Uint32Array(rows));
    this.peerMaxPayload = enlarged(this.peerMaxPayload, new Uint32Array(rows));
    this.#ids = enlarged(this.#ids, Buffer.alloc(rows * limits.sessionId));
    this.#words = wordsOf(this.#ids);
    this.#index = new Int32Array(rows * 2);
    for (let row = 0; row < this.#sessions.length; row++) if (this.#sessions[row] !== null) this.#note(row);
  }
}

/** Whether some text is a session's id: its bytes, in small hexadecimal digits. */
export function isId(text: string): boolean {
  return /^[0-9a-f]{32}$/.test(text);
}

function wordsOf(bytes: Buffer): Uint32Array {
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

/** Within bounds by construction; the compiler cannot know. */
function word(array: Uint32Array | Int32Array, index: number): number {
  return array[index] as number;
}

function enlarged<T extends Float64Array | Uint32Array | Buffer>(from: T, to: T): T {
  to.set(from);
  return to;
}
