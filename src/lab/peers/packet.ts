import { isIP } from "node:net";

/** TCP's control bits (RFC 9293 section 3.1). */
export const flag = { fin: 0x01, syn: 0x02, rst: 0x04, ack: 0x10 } as const;

const TCP = 6;
/** Where the addresses lie in an IP header: RFC 791 section 3.1, RFC 8200 section 3. */
const layouts = {
  4: { source: 12, destination: 16, bytes: 4 },
  6: { source: 8, destination: 24, bytes: 16 },
} as const;
const tcp = {
  source: 0,
  destination: 2,
  seq: 4,
  ack: 8,
  offset: 12,
  flags: 13,
  window: 14,
  checksum: 16,
  bytes: 20,
} as const;

/** One TCP segment in its IP packet, whose addresses and ports can be rewritten where they stand. */
export class TcpPacket {
  readonly bytes: Buffer;
  readonly family: 4 | 6;
  readonly #tcp: number;

  private constructor(bytes: Buffer, family: 4 | 6, tcpAt: number) {
    this.bytes = bytes;
    this.family = family;
    this.#tcp = tcpAt;
  }

  /** null: not TCP, or a fragment, or behind extension headers: nothing that this NAT is for. */
  static read(bytes: Buffer): TcpPacket | null {
    const version = (bytes[0] ?? 0) >> 4;
    const family = version === 4 ? 4 : version === 6 ? 6 : null;
    if (family === null) return null;
    const at = family === 4 ? ((bytes[0] as number) & 0x0f) * 4 : 40;
    if (bytes.length < at + tcp.bytes) return null;
    const protocol = bytes[family === 4 ? 9 : 6];
    const fragment = family === 4 ? bytes.readUInt16BE(6) & 0x3fff : 0;
    return protocol === TCP && fragment === 0 ? new TcpPacket(bytes, family, at) : null;
  }

  get source(): Endpoint {
    return this.#endpoint("source");
  }

  get destination(): Endpoint {
    return this.#endpoint("destination");
  }

  get flags(): number {
    return this.bytes[this.#tcp + tcp.flags] as number;
  }

  set source(to: Endpoint) {
    this.#rewrite("source", to);
  }

  set destination(to: Endpoint) {
    this.#rewrite("destination", to);
  }

  /** The RST that a host without such a connection would answer with (RFC 9293 section 3.10.7.1). */
  refusal(): Buffer {
    const header = this.#tcp;
    const reply = Buffer.alloc(header + tcp.bytes);
    this.bytes.copy(reply, 0, 0, header);
    const { source, destination, bytes } = layouts[this.family];
    this.bytes.copy(reply, source, destination, destination + bytes);
    this.bytes.copy(reply, destination, source, source + bytes);
    if (this.family === 4) reply.writeUInt16BE(reply.length, 2);
    else reply.writeUInt16BE(tcp.bytes, 4);
    // Hops: as many as a host starts with.
    reply[this.family === 4 ? 8 : 7] = 64;
    reply.writeUInt16BE(this.bytes.readUInt16BE(header + tcp.destination), header + tcp.source);
    reply.writeUInt16BE(this.bytes.readUInt16BE(header + tcp.source), header + tcp.destination);
    const acknowledges = (this.flags & flag.ack) !== 0;
    if (acknowledges) this.bytes.copy(reply, header + tcp.seq, header + tcp.ack, header + tcp.ack + 4);
    else reply.writeUInt32BE(this.#end(), header + tcp.ack);
    reply[header + tcp.offset] = (tcp.bytes / 4) << 4;
    reply[header + tcp.flags] = acknowledges ? flag.rst : flag.rst | flag.ack;
    if (this.family === 4) {
      reply.writeUInt16BE(0, 10);
      reply.writeUInt16BE(onesComplement(sum(reply, 0, header)), 10);
    }
    const pseudo = sum(reply, source, destination + bytes) + TCP + tcp.bytes;
    reply.writeUInt16BE(onesComplement(pseudo + sum(reply, header, reply.length)), header + tcp.checksum);
    return reply;
  }

  /** The sequence number behind this segment. */
  #end(): number {
    const seq = this.bytes.readUInt32BE(this.#tcp + tcp.seq);
    const headerLength = ((this.bytes[this.#tcp + tcp.offset] as number) >> 4) * 4;
    const syn = (this.flags & flag.syn) === 0 ? 0 : 1;
    const fin = (this.flags & flag.fin) === 0 ? 0 : 1;
    return (seq + this.bytes.length - this.#tcp - headerLength + syn + fin) >>> 0;
  }

  #endpoint(side: "source" | "destination"): Endpoint {
    const layout = layouts[this.family];
    const address = this.bytes.toString("hex", layout[side], layout[side] + layout.bytes);
    return { address, port: this.bytes.readUInt16BE(this.#tcp + tcp[side]) };
  }

  /** Checksums are corrected by the difference, not made anew (RFC 1624): the kernel may have left the data's part to a card. */
  #rewrite(side: "source" | "destination", to: Endpoint): void {
    const layout = layouts[this.family];
    const at = layout[side];
    const before = sum(this.bytes, at, at + layout.bytes);
    this.bytes.write(to.address, at, "hex");
    const after = sum(this.bytes, at, at + layout.bytes);
    const portAt = this.#tcp + tcp[side];
    const portBefore = this.bytes.readUInt16BE(portAt);
    this.bytes.writeUInt16BE(to.port, portAt);
    if (this.family === 4) this.#correct(10, before, after);
    this.#correct(this.#tcp + tcp.checksum, before + portBefore, after + to.port);
  }

  #correct(at: number, before: number, after: number): void {
    const old = ~this.bytes.readUInt16BE(at) & 0xffff;
    this.bytes.writeUInt16BE(onesComplement(old + (~fold(before) & 0xffff) + after), at);
  }
}

/** An address as the hexadecimal digits of its bytes, and a port. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** @example addressDigits("10.77.1.2") // "0a4d0102" */
export function addressDigits(address: string): string {
  if (isIP(address) === 4)
    return address
      .split(".")
      .map((part) => Number(part).toString(16).padStart(2, "0"))
      .join("");
  const [head = "", tail = ""] = address.split("::");
  const missing = 8 - words(head).length - words(tail).length;
  return [...words(head), ...Array.from({ length: missing }, () => "0"), ...words(tail)]
    .map((word) => word.padStart(4, "0"))
    .join("");
}

function words(text: string): string[] {
  return text.split(":").filter((word) => word !== "");
}

function sum(bytes: Buffer, start: number, end: number): number {
  let total = 0;
  for (let at = start; at < end; at += 2) total += bytes.readUInt16BE(at);
  return total;
}

function fold(total: number): number {
  let folded = total;
  while (folded > 0xffff) folded = (folded & 0xffff) + (folded >>> 16);
  return folded;
}

function onesComplement(total: number): number {
  return ~fold(total) & 0xffff;
}
