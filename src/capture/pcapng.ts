import { word16, word32 } from "./bytes.js";
import { type CaptureClock, TickClock } from "./clock.js";
import { badCapture, longestRecord, type PacketSink, type RecordParser } from "./format.js";

/** Block types of draft-ietf-opsawg-pcapng, section 4; all others are passed over. */
const blockType = {
  section: 0x0a0d0d0a,
  interface: 1,
  oldPacket: 2,
  simplePacket: 3,
  enhancedPacket: 6,
} as const;

const byteOrderMagic = 0x1a2b3c4d;
/** Type, length, and the length again at the block's end. */
const smallestBlock = 12;

/** Where the captured bytes begin in a packet block, counted from the block's start. */
const packetData = { simple: 12, enhanced: 28 } as const;

const optionCode = { end: 0, resolution: 9, offsetSeconds: 14 } as const;

interface Interface {
  readonly linkType: number;
  readonly snapLength: number;
  readonly clock: TickClock;
}

/** A pcapng file: blocks in sections; each section has a byte order and interfaces of its own. */
export class PcapngParser implements RecordParser {
  needed: number = smallestBlock;
  readonly within = "a block";
  readonly #sink: PacketSink;
  readonly #clock: CaptureClock;
  #bigEndian = false;
  #interfaces: Interface[] = [];
  #offset = 0;
  #lastTimeNs = 0;

  constructor(sink: PacketSink, clock: CaptureClock) {
    this.#sink = sink;
    this.#clock = clock;
  }

  parse(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    this.needed = smallestBlock;
    while (end - at >= smallestBlock) {
      const offset = this.#offset + at - start;
      // Reads the same in both byte orders, because its own order is only known behind it.
      const isSection = word32(bytes, at, true) === blockType.section;
      if (isSection) this.#readByteOrder(bytes, at + 8, offset + 8);
      const length = word32(bytes, at + 4, this.#bigEndian);
      if (length < smallestBlock || length % 4 !== 0 || length > longestRecord)
        throw badCapture(
          offset + 4,
          `a block of ${length} bytes`,
          `a multiple of 4 from ${smallestBlock} to ${longestRecord}`,
        );
      if (end - at < length) {
        this.needed = length;
        break;
      }
      const repeated = word32(bytes, at + length - 4, this.#bigEndian);
      if (repeated !== length)
        throw badCapture(offset + length - 4, `a block's closing length of ${repeated}`, String(length));
      this.#readBlock(bytes, at, length, offset, isSection);
      at += length;
    }
    this.#offset += at - start;
    return at;
  }

  #readByteOrder(bytes: Uint8Array, at: number, offset: number): void {
    if (word32(bytes, at, true) === byteOrderMagic) this.#bigEndian = true;
    else if (word32(bytes, at, false) === byteOrderMagic) this.#bigEndian = false;
    else throw badCapture(offset, "no byte-order magic", "1a2b3c4d in one order or the other");
  }

  #readBlock(bytes: Uint8Array, at: number, length: number, offset: number, isSection: boolean): void {
    if (isSection) {
      this.#interfaces = [];
      return;
    }
    switch (word32(bytes, at, this.#bigEndian)) {
      case blockType.interface:
        this.#readInterface(bytes, at, length, offset);
        break;
      case blockType.enhancedPacket:
        this.#readPacket(bytes, at, length, offset, this.#word(bytes, at + 8));
        break;
      case blockType.oldPacket:
        this.#readPacket(bytes, at, length, offset, word16(bytes, at + 8, this.#bigEndian));
        break;
      case blockType.simplePacket:
        this.#readSimplePacket(bytes, at, length, offset);
        break;
      default:
    }
  }

  #readInterface(bytes: Uint8Array, at: number, length: number, offset: number): void {
    if (length < 20) throw badCapture(offset + 4, `an interface block of ${length} bytes`, "at least 20");
    const options = this.#readTimeOptions(bytes, at + 16, at + length - 4);
    this.#interfaces.push({
      linkType: word16(bytes, at + 8, this.#bigEndian),
      snapLength: this.#word(bytes, at + 12),
      clock: new TickClock(this.#clock, options.ticksPerSecond, options.offsetSeconds),
    });
  }

  #readTimeOptions(
    bytes: Uint8Array,
    start: number,
    end: number,
  ): { ticksPerSecond: bigint; offsetSeconds: bigint } {
    let ticksPerSecond = 1_000_000n;
    let offsetSeconds = 0n;
    for (let at = start; at + 4 <= end; ) {
      const code = word16(bytes, at, this.#bigEndian);
      const length = word16(bytes, at + 2, this.#bigEndian);
      if (code === optionCode.end || at + 4 + length > end) break;
      if (code === optionCode.resolution && length >= 1) ticksPerSecond = ticksOf(bytes[at + 4] as number);
      if (code === optionCode.offsetSeconds && length >= 8) offsetSeconds = this.#signed64(bytes, at + 4);
      at += 4 + Math.ceil(length / 4) * 4;
    }
    return { ticksPerSecond, offsetSeconds };
  }

  #readPacket(bytes: Uint8Array, at: number, length: number, offset: number, index: number): void {
    const room = length - packetData.enhanced - 4;
    const captured = room < 0 ? 0 : this.#word(bytes, at + 20);
    if (room < 0 || captured > room)
      throw badCapture(offset + 20, `${captured} bytes of a packet in a block of ${length}`, "what fits in");
    const from = this.#interface(index, offset);
    this.#lastTimeNs = from.clock.at(this.#word(bytes, at + 12), this.#word(bytes, at + 16));
    const original = this.#word(bytes, at + 24);
    this.#emit(bytes, at + packetData.enhanced, captured, original, from.linkType);
  }

  /** Without a time stamp: such a packet counts as taken together with the one before it. */
  #readSimplePacket(bytes: Uint8Array, at: number, length: number, offset: number): void {
    if (length < 16) throw badCapture(offset + 4, `a simple packet block of ${length} bytes`, "at least 16");
    const from = this.#interface(0, offset);
    const original = this.#word(bytes, at + 8);
    const snapLength = from.snapLength === 0 ? original : from.snapLength;
    const captured = Math.min(original, snapLength, length - packetData.simple - 4);
    this.#emit(bytes, at + packetData.simple, captured, original, from.linkType);
  }

  #emit(bytes: Uint8Array, data: number, captured: number, original: number, linkType: number): void {
    const length = Math.max(original, captured);
    this.#sink.packet(bytes, data, data + captured, length, this.#lastTimeNs, linkType);
  }

  #interface(index: number, offset: number): Interface {
    const found = this.#interfaces[index];
    if (found !== undefined) return found;
    throw badCapture(
      offset,
      `a packet of interface ${index}`,
      `one of the ${this.#interfaces.length} interfaces that this section has described so far`,
    );
  }

  #word(bytes: Uint8Array, at: number): number {
    return word32(bytes, at, this.#bigEndian);
  }

  #signed64(bytes: Uint8Array, at: number): bigint {
    const [high, low] = this.#bigEndian ? [at, at + 4] : [at + 4, at];
    return BigInt.asIntN(64, (BigInt(this.#word(bytes, high)) << 32n) | BigInt(this.#word(bytes, low)));
  }
}

/** if_tsresol: a power of ten, or of two if the highest bit is set. */
function ticksOf(resolution: number): bigint {
  return (resolution & 0x80) === 0 ? 10n ** BigInt(resolution) : 2n ** BigInt(resolution & 0x7f);
}
