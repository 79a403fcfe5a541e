import { captureOf } from "../support/pcap.js";
import { cutOff, inOrder } from "../cli/explain-captures.js";

/** A packet with the time it was taken. */
export interface Packet {
  readonly us: bigint;
  readonly bytes: Buffer;
  /** On the wire, if the snap length cut some off. */
  readonly originalLength?: number;
}

const fileHeader = 24;
const recordHeader = 16;

/** The packets of a little-endian pcap file with microseconds. */
export function packetsOf(file: Buffer): Packet[] {
  const packets: Packet[] = [];
  for (let at = fileHeader; at < file.length; ) {
    const length = file.readUInt32LE(at + 8);
    const us = BigInt(file.readUInt32LE(at)) * 1_000_000n + BigInt(file.readUInt32LE(at + 4));
    packets.push({ us, bytes: file.subarray(at + recordHeader, at + recordHeader + length) });
    at += recordHeader + length;
  }
  return packets;
}

/** Two connections as bare IPv4 packets: one dies of keepalive, one closes in order. */
export const plainPackets: readonly Packet[] = packetsOf(captureOf(cutOff(), inOrder()));

interface Numbers {
  readonly u16: (value: number) => Buffer;
  readonly u32: (value: number) => Buffer;
  readonly u64: (value: bigint) => Buffer;
}

function made(length: number, write: (bytes: Buffer) => unknown): Buffer {
  const bytes = Buffer.alloc(length);
  write(bytes);
  return bytes;
}

/** Numbers in the byte order of a big-endian or a little-endian machine. */
export function numbers(bigEndian: boolean): Numbers {
  return {
    u16: (value) => made(2, (bytes) => (bigEndian ? bytes.writeUInt16BE(value) : bytes.writeUInt16LE(value))),
    u32: (value) => made(4, (bytes) => (bigEndian ? bytes.writeUInt32BE(value) : bytes.writeUInt32LE(value))),
    u64: (value) =>
      made(8, (bytes) => (bigEndian ? bytes.writeBigInt64BE(value) : bytes.writeBigInt64LE(value))),
  };
}

export interface PcapOptions {
  readonly bigEndian?: boolean;
  readonly nanoseconds?: boolean;
  readonly linkType?: number;
}

export function pcapFile(packets: readonly Packet[], options: PcapOptions = {}): Buffer {
  const { bigEndian = false, nanoseconds = false, linkType = 101 } = options;
  const { u16, u32 } = numbers(bigEndian);
  const parts = [u32(nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4), u16(2), u16(4), u32(0), u32(0), u32(65_535)];
  parts.push(u32(linkType));
  for (const { us, bytes, originalLength = bytes.length } of packets) {
    const fraction = Number(us % 1_000_000n) * (nanoseconds ? 1_000 : 1);
    parts.push(u32(Number(us / 1_000_000n)), u32(fraction), u32(bytes.length), u32(originalLength), bytes);
  }
  return Buffer.concat(parts);
}

/** Blocks of a pcapng file in one byte order. */
export class Blocks {
  readonly #parts: Buffer[] = [];
  readonly numbers: Numbers;

  constructor(bigEndian: boolean) {
    this.numbers = numbers(bigEndian);
    const { u16, u32, u64 } = this.numbers;
    this.block(0x0a0d0d0a, u32(0x1a2b3c4d), u16(1), u16(0), u64(-1n));
  }

  block(type: number, ...body: readonly Buffer[]): this {
    const { u32 } = this.numbers;
    const bytes = Buffer.concat(body);
    const padded = Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
    const length = u32(padded.length + 12);
    this.#parts.push(u32(type), length, padded, length);
    return this;
  }

  option(code: number, value: Buffer): Buffer {
    const { u16 } = this.numbers;
    return Buffer.concat([u16(code), u16(value.length), value, Buffer.alloc(-value.length & 3)]);
  }

  interface(linkType = 101, ...options: readonly Buffer[]): this {
    const { u16, u32 } = this.numbers;
    return this.block(1, u16(linkType), u16(0), u32(0), ...options);
  }

  /** An enhanced packet block; `ticks` as the interface counts. */
  packet(index: number, ticks: bigint, bytes: Buffer, type: "enhanced" | "obsolete" = "enhanced"): this {
    const { u16, u32 } = this.numbers;
    const head = type === "enhanced" ? u32(index) : Buffer.concat([u16(index), u16(0xffff)]);
    const high = u32(Number(ticks >> 32n));
    const low = u32(Number(ticks & 0xffff_ffffn));
    const length = u32(bytes.length);
    return this.block(type === "enhanced" ? 6 : 2, head, high, low, length, length, bytes);
  }

  simplePacket(bytes: Buffer): this {
    return this.block(3, this.numbers.u32(bytes.length), bytes);
  }

  toBuffer(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

/** An IPv4 packet of these tests as IPv6, with headers between IPv6 and TCP. */
export function asIpv6(
  ipv4: Buffer,
  extensions: readonly (readonly [type: number, bytes: Buffer])[] = [],
): Buffer {
  const tcp = ipv4.subarray(20);
  const header = Buffer.alloc(40);
  header.writeUInt8(0x60, 0);
  const types = [...extensions.map(([type]) => type), 6];
  const chained = extensions.map(([, bytes], index) => {
    const copy = Buffer.from(bytes);
    copy.writeUInt8(types[index + 1] as number, 0);
    return copy;
  });
  const payload = Buffer.concat([...chained, tcp]);
  header.writeUInt16BE(payload.length, 4);
  header.writeUInt8(types[0] as number, 6);
  for (const [from, to] of [
    [12, 8],
    [16, 24],
  ] as const) {
    header.writeUInt32BE(0x20010db8, to);
    ipv4.copy(header, to + 12, from, from + 4);
  }
  return Buffer.concat([header, payload]);
}

/** A packet behind another header. */
export function behind(header: readonly number[], bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from(header), bytes]);
}

/** The type of a PPPoE session, and its headers for a packet of so many bytes (RFC 2516 section 4, PPP's IPv4). */
export function pppoe(length: number): number[] {
  return [0x88, 0x64, 0x11, 0, 0, 7, (length + 2) >> 8, (length + 2) & 0xff, 0x00, 0x21];
}

const ethernetAddresses: readonly number[] = Array.from({ length: 12 }, (_, index) => index);

/** Ethernet with a type, and padding up to the 60 bytes that the wire wants. */
export function ethernet(rest: readonly number[], bytes: Buffer): Buffer {
  const frame = behind([...ethernetAddresses, ...rest], bytes);
  return frame.length >= 60 ? frame : Buffer.concat([frame, Buffer.alloc(60 - frame.length, 0xee)]);
}
