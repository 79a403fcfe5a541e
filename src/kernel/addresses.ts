import { isIP, isIPv4 } from "node:net";
import { DeadpeerError } from "../errors.js";

/** A network in CIDR terms; a single address has the longest prefix. */
export interface Network {
  readonly family: 4 | 6;
  /** In network order: 4 or 16 bytes. Bits behind the prefix are as they were written. */
  readonly bytes: Uint8Array;
  readonly prefixLength: number;
}

/** ::ffff:0:0/96, where IPv6 sockets keep the addresses of IPv4 peers (RFC 4291 section 2.5.5.2). */
export const mappedPrefixLength = 96;

/** Whether the 16 bytes at `offset` are an IPv4-mapped IPv6 address. */
export function isMapped(bytes: Uint8Array, offset: number): boolean {
  for (let index = 0; index < 10; index++) if (bytes[offset + index] !== 0) return false;
  return bytes[offset + 10] === 0xff && bytes[offset + 11] === 0xff;
}

/** @example formatIpv4(Uint8Array.of(127, 0, 0, 1), 0) // "127.0.0.1" */
export function formatIpv4(bytes: Uint8Array, offset: number): string {
  return `${bytes[offset]}.${bytes[offset + 1]}.${bytes[offset + 2]}.${bytes[offset + 3]}`;
}

/**
 * The one text that RFC 5952 section 4 allows for an IPv6 address: lower case, no leading zeros, and `::` in place of the longest
 * run of at least two zero groups, the first of them if there are several. Mapped addresses end in dotted form (section 5).
 *
 * @example formatIpv6(Buffer.from("20010db8000000000000000000000001", "hex"), 0) // "2001:db8::1"
 */
export function formatIpv6(bytes: Uint8Array, offset: number): string {
  if (isMapped(bytes, offset)) return `::ffff:${formatIpv4(bytes, offset + 12)}`;
  const groups: number[] = [];
  for (let index = 0; index < 16; index += 2)
    groups.push(((bytes[offset + index] as number) << 8) | (bytes[offset + index + 1] as number));
  const gap = longestZeroRun(groups);
  if (gap.length < 2) return hex(groups);
  return `${hex(groups.slice(0, gap.start))}::${hex(groups.slice(gap.start + gap.length))}`;
}

function hex(groups: readonly number[]): string {
  return groups.map((group) => group.toString(16)).join(":");
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let longest = { start: 0, length: 0 };
  let start = 0;
  for (let index = 0; index <= groups.length; index++) {
    if (groups[index] === 0) continue;
    if (index - start > longest.length) longest = { start, length: index - start };
    start = index + 1;
  }
  return longest;
}

/**
 * Reads an address or a network. An IPv4-mapped one counts as IPv4, as deadpeer shows such connections.
 *
 * @throws DeadpeerError `bad-address`, naming the text.
 * @example parseNetwork("10.0.0.0/8").prefixLength // 8
 * @example parseNetwork("::ffff:1.2.3.4") // the same as parseNetwork("1.2.3.4")
 */
export function parseNetwork(text: string): Network {
  const slash = text.indexOf("/");
  const address = slash < 0 ? text : text.slice(0, slash);
  const prefix = slash < 0 ? null : text.slice(slash + 1);
  const version = isIP(address);
  if (version === 0 || address.includes("%"))
    throw new DeadpeerError(
      "bad-address",
      `"${text}" is not an IP address or network; write 10.1.2.3, 10.0.0.0/8, 2001:db8::1 or 2001:db8::/32`,
    );
  const family = version === 4 ? 4 : 6;
  const bits = family === 4 ? 32 : 128;
  const prefixLength = prefix === null ? bits : /^\d{1,3}$/.test(prefix) ? Number(prefix) : -1;
  if (prefixLength < 0 || prefixLength > bits)
    throw new DeadpeerError("bad-address", `"${text}": the prefix length must be from 0 to ${bits}`);
  const bytes = family === 4 ? Uint8Array.from(address.split("."), Number) : ipv6Bytes(address);
  if (family === 6 && prefixLength >= mappedPrefixLength && isMapped(bytes, 0))
    return { family: 4, bytes: bytes.subarray(12), prefixLength: prefixLength - mappedPrefixLength };
  return { family, bytes, prefixLength };
}

/** The 16 bytes of a text that node:net has already found to be an IPv6 address. */
function ipv6Bytes(text: string): Uint8Array {
  const [head = "", tail] = text.split("::", 2);
  const before = groupBytes(head);
  const after = groupBytes(tail ?? "");
  const bytes = new Uint8Array(16);
  bytes.set(before, 0);
  bytes.set(after, 16 - after.length);
  return bytes;
}

function groupBytes(text: string): number[] {
  if (text === "") return [];
  return text.split(":").flatMap((group) => {
    if (isIPv4(group)) return group.split(".").map(Number);
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}

/** Whether the address at `offset`, of the network's own family, lies in the network. */
export function isInNetwork(bytes: Uint8Array, offset: number, network: Network): boolean {
  const whole = network.prefixLength >> 3;
  for (let index = 0; index < whole; index++)
    if (bytes[offset + index] !== network.bytes[index]) return false;
  const rest = network.prefixLength & 7;
  if (rest === 0) return true;
  const difference = (bytes[offset + whole] as number) ^ (network.bytes[whole] as number);
  return difference >> (8 - rest) === 0;
}
