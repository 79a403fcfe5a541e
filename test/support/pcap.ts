/** TCP's control bits (RFC 9293 section 3.1). */
export const bits = { fin: 0x01, syn: 0x02, rst: 0x04, push: 0x08, ack: 0x10 } as const;

/** One TCP segment of a capture that a test makes. */
export interface MadeSegment {
  /** Since the capture began. */
  readonly atMs: number;
  readonly from: string;
  readonly fromPort: number;
  readonly to: string;
  readonly toPort: number;
  readonly flags: number;
  readonly seq: number;
  readonly ack?: number;
  readonly window?: number;
  readonly length?: number;
}

/** When made captures begin, milliseconds since 1970. */
export const madeAt = Date.UTC(2026, 0, 2, 3, 4, 5);

/** Packets begin with the IP header (LINKTYPE_RAW). */
const linkTypeRaw = 101;

/** A pcap file with microsecond time stamps of IPv4 segments. */
export function pcapOf(segments: readonly MadeSegment[]): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(65_535, 16);
  header.writeUInt32LE(linkTypeRaw, 20);
  return Buffer.concat([header, ...segments.map(record)]);
}

function record(segment: MadeSegment): Buffer {
  const packet = packetOf(segment);
  const header = Buffer.alloc(16);
  const us = Math.round((madeAt + segment.atMs) * 1_000);
  header.writeUInt32LE(Math.floor(us / 1_000_000), 0);
  header.writeUInt32LE(us % 1_000_000, 4);
  header.writeUInt32LE(packet.length, 8);
  header.writeUInt32LE(packet.length, 12);
  return Buffer.concat([header, packet]);
}

function packetOf(segment: MadeSegment): Buffer {
  const { length = 0, ack = 0, window = 500 } = segment;
  const ip = Buffer.alloc(40 + length);
  ip.writeUInt8(0x45, 0);
  ip.writeUInt16BE(ip.length, 2);
  ip.writeUInt8(64, 8);
  ip.writeUInt8(6, 9);
  ip.set(segment.from.split(".").map(Number), 12);
  ip.set(segment.to.split(".").map(Number), 16);
  ip.writeUInt16BE(segment.fromPort, 20);
  ip.writeUInt16BE(segment.toPort, 22);
  ip.writeUInt32BE(segment.seq, 24);
  ip.writeUInt32BE(ack, 28);
  ip.writeUInt8(0x50, 32);
  ip.writeUInt8(segment.flags, 33);
  ip.writeUInt16BE(window, 34);
  return ip;
}

/** One connection, told segment by segment; sequence numbers follow by themselves. */
export class MadeConnection {
  readonly segments: MadeSegment[] = [];
  readonly #ends: readonly [client: string, server: string];
  readonly #ports: readonly [client: number, server: number];
  readonly #next: [client: number, server: number] = [1_000, 5_000];

  constructor(clientPort: number, client = "192.0.2.1", server = "198.51.100.7", serverPort = 5432) {
    this.#ends = [client, server];
    this.#ports = [clientPort, serverPort];
  }

  /** A handshake, 1 ms from end to end. */
  open(atMs: number): this {
    this.#send(atMs, 0, bits.syn, 0, 1, false);
    this.#send(atMs + 1, 1, bits.syn | bits.ack, 0, 1);
    return this.#send(atMs + 1.1, 0, bits.ack);
  }

  /** Data from one side, acknowledged by the other 1 ms later. */
  talk(atMs: number, from: 0 | 1, length: number): this {
    this.unheard(atMs, from, length);
    return this.#send(atMs + 1, from === 0 ? 1 : 0, bits.ack);
  }

  /** Data that nothing answers. */
  unheard(atMs: number, from: 0 | 1, length: number): this {
    return this.#send(atMs, from, bits.ack | bits.push, length);
  }

  /** The last `length` bytes again. */
  again(atMs: number, from: 0 | 1, length: number): this {
    this.#next[from] -= length;
    return this.unheard(atMs, from, length);
  }

  /** A keepalive probe, with its answer 1 ms later or without. */
  probe(atMs: number, from: 0 | 1, answered: boolean): this {
    this.#next[from]--;
    this.#send(atMs, from, bits.ack, 0, 1);
    return answered ? this.#send(atMs + 1, from === 0 ? 1 : 0, bits.ack) : this;
  }

  reset(atMs: number, from: 0 | 1): this {
    return this.#send(atMs, from, bits.rst | bits.ack);
  }

  /** FIN from both sides. */
  close(atMs: number): this {
    this.#send(atMs, 0, bits.fin | bits.ack, 0, 1);
    this.#send(atMs + 1, 1, bits.fin | bits.ack, 0, 1);
    return this.#send(atMs + 1.1, 0, bits.ack);
  }

  #send(atMs: number, from: 0 | 1, flags: number, length = 0, control = 0, acks = true): this {
    const to = from === 0 ? 1 : 0;
    this.segments.push({
      atMs,
      from: this.#ends[from],
      fromPort: this.#ports[from],
      to: this.#ends[to],
      toPort: this.#ports[to],
      flags,
      seq: this.#next[from],
      ack: acks ? this.#next[to] : 0,
      length,
    });
    this.#next[from] += length + control;
    return this;
  }
}

/** Several connections in one capture, in the order of time. */
export function captureOf(...connections: readonly MadeConnection[]): Buffer {
  const segments = connections.flatMap(({ segments: each }) => each);
  return pcapOf(segments.toSorted((one, other) => one.atMs - other.atMs));
}
