import { u16, word32 } from "./bytes.js";

/** Link types by the numbers that capture files give them (tcpdump.org/linktypes.html). */
export const linkType = {
  null: 0,
  ethernet: 1,
  rawBsd: 12,
  rawOpenBsd: 14,
  raw: 101,
  loop: 108,
  linuxCooked: 113,
  ipv4: 228,
  ipv6: 229,
  linuxCooked2: 276,
} as const;

/** Names for link types that are not read, as far as people meet them. */
const otherLinkTypes: Readonly<Record<number, string>> = {
  9: "PPP",
  105: "IEEE 802.11",
  127: "IEEE 802.11 radiotap",
  147: "user 0",
  189: "USB",
  192: "PPI",
  195: "IEEE 802.15.4",
  201: "Bluetooth HCI",
  220: "USB",
  239: "netfilter log",
  253: "netlink",
};

/** @example linkTypeName(127) // "link type 127 (IEEE 802.11 radiotap)" */
export function linkTypeName(type: number): string {
  const name = otherLinkTypes[type];
  return name === undefined ? `link type ${type}` : `link type ${type} (${name})`;
}

/** Why a packet has no IP header that could be read; offsets of one are never negative. */
export const noIp = { other: -1, cut: -2, unknownLink: -3 } as const;

const etherType = {
  ipv4: 0x0800,
  vlan: 0x8100,
  ipv6: 0x86dd,
  pppoeSession: 0x8864,
  /** IEEE 802.1ad, and two numbers that were used for the outer tag before it. */
  serviceVlan: 0x88a8,
  oldServiceVlan: 0x9100,
  olderServiceVlan: 0x9200,
} as const;

const pppProtocol = { ipv4: 0x0021, ipv6: 0x0057 } as const;

/** One packet's headers in front of IP, read into the same object again and again. */
export class LinkHeaders {
  /** Where the packet ends on the wire; padding behind a length that a header here tells does not count. */
  wireEnd = 0;

  /** Where the IP header of a packet begins, or one of `noIp`. */
  read(type: number, bytes: Uint8Array, start: number, end: number, wireEnd: number): number {
    this.wireEnd = wireEnd;
    switch (type) {
      case linkType.ethernet:
        return this.#behindEtherType(bytes, start + 12, end);
      case linkType.raw:
      case linkType.rawBsd:
      case linkType.rawOpenBsd:
      case linkType.ipv4:
      case linkType.ipv6:
        return start < end ? start : noIp.cut;
      case linkType.linuxCooked:
        return this.#behindEtherType(bytes, start + 14, end);
      case linkType.linuxCooked2:
        // The protocol stands first, in front of 18 more bytes.
        return start + 20 > end ? noIp.cut : this.#behind(u16(bytes, start), bytes, start + 20, end);
      case linkType.null:
      case linkType.loop:
        return behindFamily(bytes, start, end);
      default:
        return noIp.unknownLink;
    }
  }

  #behindEtherType(bytes: Uint8Array, at: number, end: number): number {
    return at + 2 > end ? noIp.cut : this.#behind(u16(bytes, at), bytes, at + 2, end);
  }

  #behind(type: number, bytes: Uint8Array, start: number, end: number): number {
    let protocol = type;
    for (let at = start; ; at += 4) {
      switch (protocol) {
        case etherType.ipv4:
        case etherType.ipv6:
          return at < end ? at : noIp.cut;
        case etherType.vlan:
        case etherType.serviceVlan:
        case etherType.oldServiceVlan:
        case etherType.olderServiceVlan:
          if (at + 4 > end) return noIp.cut;
          protocol = u16(bytes, at + 2);
          break;
        case etherType.pppoeSession:
          return this.#behindPppoe(bytes, at, end);
        default:
          return noIp.other;
      }
    }
  }

  /** RFC 2516 section 4: six bytes of PPPoE, the last two a length that counts from PPP's protocol number on. */
  #behindPppoe(bytes: Uint8Array, at: number, end: number): number {
    if (at + 8 >= end) return noIp.cut;
    const protocol = u16(bytes, at + 6);
    if (protocol !== pppProtocol.ipv4 && protocol !== pppProtocol.ipv6) return noIp.other;
    this.wireEnd = Math.min(this.wireEnd, at + 6 + u16(bytes, at + 4));
    return at + 8;
  }
}

/**
 * BSD's loopback: an address family of 32 bits, in the order of the machine that captured (or, for `loop`, of the network). AF_INET
 * is 2 everywhere; AF_INET6 is 24 on NetBSD and OpenBSD, 28 on FreeBSD, 30 on macOS, 10 on Linux, 23 on Windows.
 */
function behindFamily(bytes: Uint8Array, start: number, end: number): number {
  if (start + 4 >= end) return noIp.cut;
  const little = word32(bytes, start, false);
  const family = little > 0xffff ? word32(bytes, start, true) : little;
  switch (family) {
    case 2:
    case 10:
    case 23:
    case 24:
    case 28:
    case 30:
      return start + 4;
    default:
      return noIp.other;
  }
}
