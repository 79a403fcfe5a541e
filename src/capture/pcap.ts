import { word16, word32 } from "./bytes.js";
import { noTime } from "./no-time.js";
import type { CaptureClock } from "./clock.js";
import { badCapture, longestRecord, type PacketSink, type RecordParser } from "./format.js";

const fileHeader = { length: 24, majorVersion: 4, linkType: 20 } as const;
const recordHeader = { length: 16, seconds: 0, fraction: 4, captured: 8, original: 12 } as const;

/** A pcap file: a header of 24 bytes, then packets behind headers of 16 bytes each (draft-ietf-opsawg-pcap). */
export class PcapParser implements RecordParser {
  needed: number = fileHeader.length;
  within = "the file's header";
  readonly #sink: PacketSink;
  readonly #clock: CaptureClock;
  readonly #bigEndian: boolean;
  readonly #nsPerUnit: number;
  #offset = 0;
  #linkType = -1;
  #started = false;
  #startNs = noTime;
  #firstSeconds = noTime;
  #firstFraction = noTime;

  constructor(sink: PacketSink, clock: CaptureClock, bigEndian: boolean, nanoseconds: boolean) {
    this.#sink = sink;
    this.#clock = clock;
    this.#bigEndian = bigEndian;
    this.#nsPerUnit = nanoseconds ? 1 : 1_000;
  }

  parse(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    if (this.#linkType < 0) {
      if (end - at < fileHeader.length) return at;
      this.#readFileHeader(bytes, at);
      at += fileHeader.length;
    }
    this.needed = recordHeader.length;
    while (end - at >= recordHeader.length) {
      const captured = word32(bytes, at + recordHeader.captured, this.#bigEndian);
      if (captured > longestRecord)
        throw badCapture(
          this.#offset + at - start + recordHeader.captured,
          `a packet of ${captured} bytes`,
          `at most ${longestRecord}`,
        );
      const data = at + recordHeader.length;
      if (end - data < captured) {
        this.needed = recordHeader.length + captured;
        break;
      }
      const original = word32(bytes, at + recordHeader.original, this.#bigEndian);
      const timeNs = this.#timeNs(bytes, at);
      this.#sink.packet(bytes, data, data + captured, Math.max(original, captured), timeNs, this.#linkType);
      at = data + captured;
    }
    this.#offset += at - start;
    return at;
  }

  #readFileHeader(bytes: Uint8Array, at: number): void {
    const version = word16(bytes, at + fileHeader.majorVersion, this.#bigEndian);
    if (version !== 2) throw badCapture(4, `pcap version ${version}`, "version 2");
    // The upper half holds the length of frame check sequences.
    this.#linkType = word32(bytes, at + fileHeader.linkType, this.#bigEndian) & 0xffff;
    this.within = "a packet";
  }

  #timeNs(bytes: Uint8Array, at: number): number {
    const seconds = word32(bytes, at + recordHeader.seconds, this.#bigEndian);
    const fraction = word32(bytes, at + recordHeader.fraction, this.#bigEndian);
    if (!this.#started) {
      this.#started = true;
      this.#firstSeconds = seconds;
      this.#firstFraction = fraction;
      this.#startNs = this.#clock.since(
        BigInt(seconds) * 1_000_000_000n + BigInt(fraction * this.#nsPerUnit),
      );
    }
    return (
      this.#startNs +
      (seconds - this.#firstSeconds) * 1e9 +
      (fraction - this.#firstFraction) * this.#nsPerUnit
    );
  }
}
