import { protocol } from "./network-layer.js";

/** ICMP destination unreachable (RFC 792, RFC 1122 section 3.2.2.1, RFC 1812 section 5.2.7.1) and what Linux makes of it. */
const unreachable4: readonly (readonly [words: string, errno: string])[] = [
  ["network unreachable", "ENETUNREACH"],
  ["host unreachable", "EHOSTUNREACH"],
  ["protocol unreachable", "ENOPROTOOPT"],
  ["port unreachable", "ECONNREFUSED"],
  ["fragmentation needed", "EMSGSIZE"],
  ["source route failed", "EOPNOTSUPP"],
  ["network unknown", "ENETUNREACH"],
  ["host unknown", "EHOSTDOWN"],
  ["source host isolated", "ENONET"],
  ["network administratively prohibited", "ENETUNREACH"],
  ["host administratively prohibited", "EHOSTUNREACH"],
  ["network unreachable for this type of service", "ENETUNREACH"],
  ["host unreachable for this type of service", "EHOSTUNREACH"],
  ["communication administratively prohibited", "EHOSTUNREACH"],
  ["host precedence violation", "EHOSTUNREACH"],
  ["precedence cutoff in effect", "EHOSTUNREACH"],
];

/** ICMPv6 destination unreachable (RFC 4443 section 3.1); errno as icmpv6_err_convert in net/ipv6/icmp.c has it. */
const unreachable6: readonly (readonly [words: string, errno: string])[] = [
  ["no route to destination", "ENETUNREACH"],
  ["communication administratively prohibited", "EACCES"],
  ["beyond scope of source address", "EHOSTUNREACH"],
  ["address unreachable", "EHOSTUNREACH"],
  ["port unreachable", "ECONNREFUSED"],
  ["source address failed policy", "EACCES"],
  ["reject route to destination", "EACCES"],
];

const fragmentationNeeded = 4;

/** What an ICMP message says about the packet it quotes; `code` is type and code in one number. */
export interface Unreachable {
  readonly words: string;
  readonly errno: string;
}

/**
 * Type and code of an ICMP error that says the peer cannot be reached, as one number; -1 for all other messages. "Fragmentation
 * needed" is none: it belongs to path MTU discovery.
 */
export function unreachableCode(ipProtocol: number, type: number, code: number): number {
  if (ipProtocol === protocol.icmp)
    return type === 3 && code !== fragmentationNeeded && code < unreachable4.length ? code : -1;
  return type === 1 && code < unreachable6.length ? 0x100 | code : -1;
}

/** @example describeUnreachable(1) // { words: "host unreachable", errno: "EHOSTUNREACH" } */
export function describeUnreachable(code: number): Unreachable {
  const [words, errno] = (code < 0x100 ? unreachable4[code] : unreachable6[code & 0xff]) ?? [
    "unreachable",
    "",
  ];
  return { words, errno };
}
