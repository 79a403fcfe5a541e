import { createRequire } from "node:module";
// oxlint-disable-next-line no-restricted-imports -- an experiment's own door: src/kernel has none for what nothing uses
import type * as Koffi from "koffi";
import { errnoName } from "../../src/kernel/errno.js";

const koffi = createRequire(import.meta.url)("koffi") as typeof Koffi;
const library = koffi.load(null);
const syscall = library.func("long syscall(long, long, long, long, long, long, long)") as (
  ...args: (number | bigint)[]
) => number;
const mmap = library.func("void *mmap(void *, size_t, int, int, int, long)") as (
  ...args: (number | null)[]
) => unknown;

/** include/uapi/asm-generic/unistd.h: the same numbers on every architecture. */
const numbers = { setup: 425, enter: 426, register: 427 } as const;
/** include/uapi/linux/io_uring.h. */
const setup = { cqSize: 1 << 3, submitAll: 1 << 7, singleIssuer: 1 << 12, deferTaskRun: 1 << 13 } as const;
const featureSingleMmap = 1;
const offSubmissions = 0x10000000;
const enterGetEvents = 1;
const registerBufferRing = 22;
const protReadWrite = 3;
const mapShared = 1;
const mapPrivateAnonymous = 0x22;
const submissionBytes = 64;
const bufferRingEntryBytes = 16;

export const operation = { accept: 13, send: 26, receive: 27 } as const;
export const submissionFlag = { bufferSelect: 1 << 5, skipSuccess: 1 << 6 } as const;
/** In `ioprio`. */
export const multishot = { accept: 1, receive: 2 } as const;
export const completionFlag = { buffer: 1, more: 2 } as const;

function view(pointer: unknown, bytes: number): ArrayBuffer {
  return koffi.view(pointer, bytes);
}

function mapped(fd: number, bytes: number, offset: number): ArrayBuffer {
  const flags = fd < 0 ? mapPrivateAnonymous : mapShared;
  const pointer = mmap(null, bytes, protReadWrite, flags, fd, offset);
  if (koffi.address(pointer) === 0xffff_ffff_ffff_ffffn) throw new Error("mmap failed");
  return view(pointer, bytes);
}

/** Where memory lies, as a number: the processor has fewer bits than JavaScript's integers. */
export function addressOf(memory: ArrayBufferLike): number {
  return Number(koffi.address(Buffer.from(memory)));
}

/**
 * A submission and a completion ring, mapped: what is queued goes out with the next `enter`, which also waits.
 *
 * Kernel and program touch them one after the other here (`IORING_SETUP_DEFER_TASKRUN`: the kernel works only inside `enter`), so no
 * barriers are needed.
 *
 * @throws Error that names the errno: ENOSYS, EPERM where it is forbidden, EINVAL before Linux 6.1.
 */
export class Ring {
  readonly #fd: number;
  readonly #submissions: Int32Array;
  readonly #submissionBytes: Uint8Array;
  readonly #submissionShorts: Uint16Array;
  readonly #ring: Uint32Array;
  readonly #completions: Int32Array;
  readonly #sq: { readonly tail: number; readonly mask: number };
  readonly #cq: { readonly head: number; readonly tail: number; readonly mask: number };
  #queued = 0;
  #tail = 0;

  constructor(entries: number) {
    const params = Buffer.alloc(120);
    params.writeUInt32LE(entries * 4, 4);
    params.writeUInt32LE(setup.cqSize | setup.submitAll | setup.singleIssuer | setup.deferTaskRun, 8);
    const fd = syscall(numbers.setup, entries, koffi.address(params), 0, 0, 0, 0);
    if (fd < 0) throw new Error(`io_uring_setup: ${errnoText()}`);
    this.#fd = fd;
    const word = (offset: number): number => params.readUInt32LE(offset);
    if ((word(20) & featureSingleMmap) === 0) throw new Error("io_uring: two rings in two mappings");
    const submissions = word(0);
    const completions = word(4);
    // struct io_uring_params: sq_off is at 40, cq_off at 80.
    const ringBytes = Math.max(word(64) + submissions * 4, word(100) + completions * 16);
    const ring = mapped(fd, ringBytes, 0);
    this.#ring = new Uint32Array(ring, 0, Math.floor(ringBytes / 4));
    this.#completions = new Int32Array(ring, word(100), completions * 4);
    this.#sq = { tail: word(44) / 4, mask: submissions - 1 };
    this.#cq = { head: word(80) / 4, tail: word(84) / 4, mask: completions - 1 };
    // The array of indices stays as it is: entry n is submission n.
    for (let n = 0; n < submissions; n++) this.#ring[word(64) / 4 + n] = n;
    const memory = mapped(fd, submissions * submissionBytes, offSubmissions);
    this.#submissions = new Int32Array(memory);
    this.#submissionBytes = new Uint8Array(memory);
    this.#submissionShorts = new Uint16Array(memory);
  }

  /** Buffers for the kernel to read into. @returns the ring of them, in which those that are free are listed. */
  registerBuffers(count: number, group: number): BufferRing {
    const memory = mapped(-1, count * bufferRingEntryBytes, 0);
    const request = Buffer.alloc(40);
    request.writeBigUInt64LE(BigInt(addressOf(memory)), 0);
    request.writeUInt32LE(count, 8);
    request.writeUInt16LE(group, 12);
    if (syscall(numbers.register, this.#fd, registerBufferRing, koffi.address(request), 1, 0, 0) < 0)
      throw new Error(`io_uring_register(PBUF_RING): ${errnoText()}`);
    return new BufferRing(memory, count);
  }

  /** @param group of buffers, with `bufferSelect`; @param data comes back with the completion. */
  queue(
    what: number,
    fd: number,
    data: number,
    {
      flags = 0,
      shots = 0,
      address = 0,
      length = 0,
      messageFlags = 0,
      group = 0,
    }: {
      flags?: number;
      shots?: number;
      address?: number;
      length?: number;
      messageFlags?: number;
      group?: number;
    },
  ): void {
    if (this.#queued > this.#sq.mask) this.enter(0);
    const at = (this.#tail & this.#sq.mask) * 16;
    const words = this.#submissions;
    words.fill(0, at, at + 16);
    this.#submissionBytes[at * 4] = what;
    this.#submissionBytes[at * 4 + 1] = flags;
    this.#submissionShorts[at * 2 + 1] = shots;
    words[at + 1] = fd;
    words[at + 4] = address | 0;
    words[at + 5] = Math.floor(address / 2 ** 32);
    words[at + 6] = length;
    words[at + 7] = messageFlags;
    words[at + 8] = data;
    this.#submissionShorts[at * 2 + 20] = group;
    this.#tail = (this.#tail + 1) >>> 0;
    this.#queued++;
  }

  /** Hands over what is queued, and waits for so many completions. */
  enter(wait: number): void {
    this.#ring[this.#sq.tail] = this.#tail;
    const result = syscall(numbers.enter, this.#fd, this.#queued, wait, enterGetEvents, 0, 0);
    if (result < 0 && errnoText() !== "EINTR") throw new Error(`io_uring_enter: ${errnoText()}`);
    if (result > 0) this.#queued -= result;
  }

  /** Takes all completions there are. */
  take(each: (data: number, result: number, flags: number) => void): void {
    let head = this.#ring[this.#cq.head] ?? 0;
    const tail = this.#ring[this.#cq.tail] ?? 0;
    for (; head !== tail; head = (head + 1) >>> 0) {
      const at = (head & this.#cq.mask) * 4;
      each(this.#completions[at] ?? 0, this.#completions[at + 2] ?? 0, this.#completions[at + 3] ?? 0);
    }
    this.#ring[this.#cq.head] = head;
  }
}

/** struct io_uring_buf_ring: entries of address, length and number; the tail stands where the first entry has nothing. */
export class BufferRing {
  readonly #words: Uint32Array;
  readonly #shorts: Uint16Array;
  readonly #mask: number;
  #tail = 0;

  constructor(memory: ArrayBuffer, count: number) {
    this.#words = new Uint32Array(memory);
    this.#shorts = new Uint16Array(memory);
    this.#mask = count - 1;
  }

  /** Gives a buffer to the kernel; `publish` shows it. */
  give(number: number, address: number, length: number): void {
    const at = (this.#tail & this.#mask) * 4;
    this.#words[at] = address >>> 0;
    this.#words[at + 1] = Math.floor(address / 2 ** 32);
    this.#words[at + 2] = length;
    this.#shorts[(at + 3) * 2] = number;
    this.#tail = (this.#tail + 1) & 0xffff;
  }

  publish(): void {
    this.#shorts[7] = this.#tail;
  }
}

function errnoText(): string {
  return errnoName(koffi.errno());
}
