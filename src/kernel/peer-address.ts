import { networkInterfaces } from "node:os";
import { AF_INET, AF_INET6 } from "./abi.js";
import { formatIpv4, formatIpv6 } from "./addresses.js";

/** An address and a port, as Node's sockets say them. */
export interface PeerAddress {
  readonly address: string;
  readonly port: number;
}

/** struct sockaddr_in and sockaddr_in6: family, in the machine's order; port, in the network's; then they differ. */
const layout = { family: 0, port: 2, ipv4: 4, ipv6: 8, scope: 24 } as const;

/** Whether an address of either family was written there. */
export function hasPeer(bytes: Buffer, offset: number): boolean {
  const family = bytes.readUInt16LE(offset + layout.family);
  return family === AF_INET || family === AF_INET6;
}

/**
 * Reads a struct sockaddr of IPv4 or IPv6.
 *
 * @returns null for another family, as where nothing was written.
 * @example peerAddress(peer, 0) // { address: "192.0.2.7", port: 40000 }
 */
export function peerAddress(bytes: Buffer, offset: number): PeerAddress | null {
  const port = bytes.readUInt16BE(offset + layout.port);
  switch (bytes.readUInt16LE(offset + layout.family)) {
    case AF_INET:
      return { address: formatIpv4(bytes, offset + layout.ipv4), port };
    case AF_INET6:
      return { address: ipv6(bytes, offset), port };
    default:
      return null;
  }
}

function ipv6(bytes: Buffer, offset: number): string {
  const address = formatIpv6(bytes, offset + layout.ipv6);
  const scope = bytes.readUInt32LE(offset + layout.scope);
  // A link-local one says nothing without its interface (RFC 4007 section 11).
  return scope === 0 ? address : `${address}%${interfaceName(scope)}`;
}

function interfaceName(scope: number): string {
  for (const [name, addresses = []] of Object.entries(networkInterfaces()))
    if (addresses.some((one) => one.family === "IPv6" && one.scopeid === scope)) return name;
  return String(scope);
}
