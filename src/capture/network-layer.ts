import { i32, u16 } from "./bytes.js";

/** IP protocol numbers, as far as they matter here. */
export const protocol = { icmp: 1, tcp: 6, icmpv6: 58 } as const;

/** What an IP header could not be read for. */
export type Unreadable = "malformed" | "cut";

/** IPv6 extension headers that may stand before TCP (RFC 8200 section 4, RFC 4302, RFC 6275, RFC 7401, RFC 5533). */
const extension = {
  hopByHop: 0,
  routing: 43,
  fragment: 44,
  authentication: 51,
  destination: 60,
  mobility: 135,
  hostIdentity: 139,
  shim6: 140,
} as const;

/** One IP packet's header, read into the same object again and again. */
export class Datagram {
  family: 4 | 6 = 4;
  protocol = 0;
  /** Where the addresses lie in the bytes that were read. */
  source = 0;
  destination = 0;
  /** Where the payload begins, and how long it was on the wire; less of it may have been captured. */
  payload = 0;
  payloadLength = 0;
  /** Where in its datagram this fragment's payload belongs; 0 for what is not fragmented, too. */
  fragmentOffset = 0;
  moreFragments = false;
  fragmentId = 0;

  get fragmented(): boolean {
    return this.fragmentOffset !== 0 || this.moreFragments;
  }

  /**
   * Reads the header at `at`. `end` is the end of what was captured, `wireEnd` of what was on the wire, in the same count.
   *
   * @returns null if it could be read.
   */
  read(bytes: Uint8Array, at: number, end: number, wireEnd: number): Unreadable | null {
    if (at >= end) return "cut";
    this.fragmentOffset = 0;
    this.moreFragments = false;
    const version = (bytes[at] as number) >>> 4;
    if (version === 4) return this.#readIpv4(bytes, at, end, wireEnd);
    if (version === 6) return this.#readIpv6(bytes, at, end, wireEnd);
    return "malformed";
  }

  #readIpv4(bytes: Uint8Array, at: number, end: number, wireEnd: number): Unreadable | null {
    if (at + 20 > end) return "cut";
    const headerLength = ((bytes[at] as number) & 0xf) * 4;
    const onWire = wireEnd - at;
    // 0 where the network card was to cut a large segment later (TSO). Ethernet pads short packets: what is behind does not count.
    const total = Math.min(u16(bytes, at + 2) || onWire, onWire);
    if (headerLength < 20 || total < headerLength) return "malformed";
    const fragment = u16(bytes, at + 6);
    this.family = 4;
    this.protocol = bytes[at + 9] as number;
    this.source = at + 12;
    this.destination = at + 16;
    this.payload = at + headerLength;
    this.payloadLength = total - headerLength;
    this.fragmentOffset = (fragment & 0x1fff) * 8;
    this.moreFragments = (fragment & 0x2000) !== 0;
    this.fragmentId = u16(bytes, at + 4);
    return null;
  }

  #readIpv6(bytes: Uint8Array, at: number, end: number, wireEnd: number): Unreadable | null {
    if (at + 40 > end) return "cut";
    const onWire = wireEnd - at - 40;
    // 0 for jumbograms (RFC 2675) and for segments that the network card cuts.
    this.payloadLength = Math.min(u16(bytes, at + 4) || onWire, onWire);
    if (this.payloadLength < 0) return "malformed";
    this.family = 6;
    this.source = at + 8;
    this.destination = at + 24;
    this.payload = at + 40;
    this.protocol = bytes[at + 6] as number;
    return this.#passExtensions(bytes, end);
  }

  #passExtensions(bytes: Uint8Array, end: number): Unreadable | null {
    for (;;) {
      const at = this.payload;
      switch (this.protocol) {
        case extension.hopByHop:
        case extension.routing:
        case extension.destination:
        case extension.mobility:
        case extension.hostIdentity:
        case extension.shim6:
          if (at + 2 > end) return "cut";
          this.#pass(bytes, ((bytes[at + 1] as number) + 1) * 8);
          break;
        case extension.authentication:
          if (at + 2 > end) return "cut";
          this.#pass(bytes, ((bytes[at + 1] as number) + 2) * 4);
          break;
        case extension.fragment:
          if (at + 8 > end) return "cut";
          this.fragmentOffset = u16(bytes, at + 2) & 0xfff8;
          this.moreFragments = ((bytes[at + 3] as number) & 1) !== 0;
          this.fragmentId = i32(bytes, at + 4);
          this.#pass(bytes, 8);
          // Of later fragments the first bytes are no header.
          if (this.fragmentOffset !== 0) return this.payloadLength < 0 ? "malformed" : null;
          break;
        default:
          return this.payloadLength < 0 ? "malformed" : null;
      }
    }
  }

  #pass(bytes: Uint8Array, length: number): void {
    this.protocol = bytes[this.payload] as number;
    this.payload += length;
    this.payloadLength -= length;
  }
}
