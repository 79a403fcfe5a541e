import { isIPv4, isIPv6 } from "node:net";
import { formatIpv6, parseNetwork } from "../../kernel/addresses.js";

/**
 * Whom an address is counted as: an IPv4 address as itself, also where an IPv6 socket shows it mapped; an IPv6 address as its
 * network, for whoever has one address of it has them all.
 *
 * @param ipv6Prefix how many bits of an IPv6 address count.
 * @example addressKey("::ffff:192.0.2.1", 64) // "192.0.2.1"
 * @example addressKey("2001:db8:1:2:aaaa::1", 64) // "2001:db8:1:2::/64"
 */
export function addressKey(address: string, ipv6Prefix: number): string {
  if (isIPv4(address)) return address;
  // A link-local address names its interface as well: fe80::1%eth0.
  const bare = address.split("%", 1)[0] ?? "";
  if (!isIPv6(bare)) return address;
  const { family, bytes } = parseNetwork(bare);
  if (family === 4) return bytes.join(".");
  if (ipv6Prefix === 128) return formatIpv6(bytes, 0);
  const kept = Uint8Array.from(bytes, (byte, index) => byte & maskOf(ipv6Prefix - index * 8));
  return `${formatIpv6(kept, 0)}/${ipv6Prefix}`;
}

/** The part of a byte that the next `bits` bits cover. */
function maskOf(bits: number): number {
  if (bits >= 8) return 0xff;
  return bits <= 0 ? 0 : (0xff << (8 - bits)) & 0xff;
}
