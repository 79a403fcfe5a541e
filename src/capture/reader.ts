import { DeadpeerError } from "../errors.js";
import { word32 } from "./bytes.js";
import { CaptureClock } from "./clock.js";
import type { PacketSink, RecordParser } from "./format.js";
import { PcapParser } from "./pcap.js";
import { PcapngParser } from "./pcapng.js";

/** Something about the capture that makes its account incomplete. */
export interface Problem {
  readonly code: "truncated" | "damaged" | "events-left-out";
  readonly message: string;
}

const magicLength = 4;
const magics = [
  { magic: 0xa1b2c3d4, nanoseconds: false },
  { magic: 0xa1b23c4d, nanoseconds: true },
] as const;
const pcapngMagic = 0x0a0d0d0a;

/**
 * Takes a capture file in pieces of any size and hands each packet to a sink. Pieces are read in place; only a record that
 * straddles two of them is copied together.
 *
 * @example
 * const reader = new CaptureReader(sink);
 * for await (const chunk of file) reader.push(chunk);
 * const problems = reader.end();
 */
export class CaptureReader {
  readonly #sink: PacketSink;
  readonly #clock = new CaptureClock();
  #parser: RecordParser | null = null;
  /** A Buffer, as chunks of files are: code that meets two kinds of arrays is compiled for both. */
  #carry: Uint8Array = Buffer.alloc(4_096);
  #carried = 0;
  #taken = 0;

  constructor(sink: PacketSink) {
    this.#sink = sink;
  }

  /** When the first packet was taken, milliseconds since 1970. */
  get firstMs(): number {
    return this.#clock.firstMs;
  }

  /** @throws DeadpeerError `bad-capture`: no capture file, or one that is damaged; the message names the byte. */
  push(chunk: Uint8Array): void {
    const start = this.#completeCarried(chunk);
    this.#taken += chunk.length;
    if (start === chunk.length) return;
    const parsed = this.#parse(chunk, start, chunk.length);
    this.#carryOver(chunk, parsed, chunk.length);
  }

  /** Tells that there is no more, and returns what was wrong with the end. */
  end(): Problem[] {
    if (this.#parser === null) return [this.#endsInMagic()];
    if (this.#carried === 0 && this.#parser.within !== "the file's header") return [];
    const missing = this.#parser.needed - this.#carried;
    const message = `the capture ends at byte ${this.#taken} in the middle of ${this.#parser.within}, at least ${missing} bytes short; what was whole before it was used`;
    return [{ code: "truncated", message }];
  }

  /** Feeds the record that the last piece ended in, no further than that; returns where the piece's own records begin. */
  #completeCarried(chunk: Uint8Array): number {
    let at = 0;
    while (this.#carried > 0 && at < chunk.length) {
      const needed = this.#parser?.needed ?? magicLength;
      const taken = Math.min(needed - this.#carried, chunk.length - at);
      this.#carryOver(chunk, at, at + taken);
      at += taken;
      if (this.#carried < needed) continue;
      const parsed = this.#parse(this.#carry, 0, this.#carried);
      this.#carry.copyWithin(0, parsed, this.#carried);
      this.#carried -= parsed;
    }
    return at;
  }

  #carryOver(bytes: Uint8Array, start: number, end: number): void {
    const total = this.#carried + end - start;
    if (total > this.#carry.length) {
      const larger = Buffer.alloc(Math.max(total, this.#carry.length * 2));
      larger.set(this.#carry.subarray(0, this.#carried));
      this.#carry = larger;
    }
    this.#carry.set(bytes.subarray(start, end), this.#carried);
    this.#carried = total;
  }

  #parse(bytes: Uint8Array, start: number, end: number): number {
    if (this.#parser === null) {
      if (end - start < magicLength) return start;
      this.#parser = this.#parserFor(bytes, start);
    }
    return this.#parser.parse(bytes, start, end);
  }

  #parserFor(bytes: Uint8Array, at: number): RecordParser {
    if (word32(bytes, at, true) === pcapngMagic) return new PcapngParser(this.#sink, this.#clock);
    for (const bigEndian of [false, true])
      for (const { magic, nanoseconds } of magics)
        if (word32(bytes, at, bigEndian) === magic)
          return new PcapParser(this.#sink, this.#clock, bigEndian, nanoseconds);
    throw notCapture(bytes.subarray(at, at + magicLength));
  }

  #endsInMagic(): Problem {
    const seen = this.#carry.subarray(0, this.#carried);
    if (!knownMagics().some((magic) => seen.every((byte, index) => byte === magic[index])))
      throw notCapture(seen);
    const message =
      this.#carried === 0 ? "the capture is empty" : "the capture ends in the middle of the file's header";
    return { code: "truncated", message };
  }
}

function knownMagics(): Uint8Array[] {
  return [...magics.map(({ magic }) => magic), pcapngMagic].flatMap((magic) => {
    const bytes = [magic >>> 24, magic >>> 16, magic >>> 8, magic].map((byte) => byte & 0xff);
    return [Uint8Array.from(bytes), Uint8Array.from(bytes.toReversed())];
  });
}

function notCapture(seen: Uint8Array): DeadpeerError {
  const hex = Buffer.from(seen).toString("hex");
  return new DeadpeerError(
    "bad-capture",
    `at byte 0: ${hex} begins no capture file; expected pcap (a1b2c3d4 or a1b23c4d, in either byte order) or pcapng (0a0d0d0a), plain or gzip-compressed`,
  );
}
