import { BlockList, isIPv4, isIPv6 } from "node:net";
import { DeadpeerError } from "../errors.js";
import { formatIpv4, formatIpv6, parseNetwork } from "../kernel/addresses.js";
import { parsePort } from "./port.js";

/** One end of a connection as `--local` and `--remote` describe it. */
export interface EndpointFilter {
  /** An address with its prefix length, as `10.0.0.0/8` or `2001:db8::1/128`; null: any address. */
  readonly network: string | null;
  /** null: any port. */
  readonly port: number | null;
}

/**
 * Reads `ADDR[:PORT]`: `10.0.0.5`, `10.0.0.5:5432`, `10.0.0.0/8:5432`, `[2001:db8::5]:443`, `2001:db8::/32`, `[2001:db8::/32]:443`,
 * `*:443`, `:443`. An IPv6 address needs brackets only before a port.
 *
 * @param what names the option in the error, e.g. `--remote`.
 * @throws DeadpeerError `bad-address` for what is none of these.
 * @example parseEndpoint("10.0.0.0/8:5432", "--remote") // { network: "10.0.0.0/8", port: 5432 }
 */
export function parseEndpoint(text: string, what: string): EndpointFilter {
  const trimmed = text.trim();
  if (trimmed === "") throw bad(what, "an address is missing");
  // Bare IPv6 has colons of its own, so it is tried before anything is cut off as a port.
  if (isIPv6(trimmed.replace(/\/.*$/, ""))) return { network: readNetwork(trimmed, what), port: null };
  const match = /^(?:\[([^\]]*)\](\/[^:]*)?|([^:[\]]*))(?::(.*))?$/.exec(trimmed);
  if (match === null)
    throw bad(what, `"${trimmed}" is not ADDR[:PORT]; an IPv6 address with a port goes in brackets`);
  const [, bracketed, prefix = "", plain, port] = match;
  if (bracketed !== undefined && !isIPv6(bracketed.replace(/\/.*$/, "")))
    throw bad(what, `"${bracketed}" in brackets is not an IPv6 address`);
  const address = bracketed === undefined ? (plain ?? "") : bracketed + prefix;
  return {
    network: address === "" || address === "*" ? null : readNetwork(address, what),
    port: port === undefined || port === "*" ? null : parsePort(port, what),
  };
}

/** An IPv4-mapped address counts as IPv4, as such connections are shown. */
function readNetwork(text: string, what: string): string {
  try {
    const { family, bytes, prefixLength } = parseNetwork(text);
    return `${family === 4 ? formatIpv4(bytes, 0) : formatIpv6(bytes, 0)}/${prefixLength}`;
  } catch (error) {
    throw error instanceof DeadpeerError ? bad(what, error.message) : error;
  }
}

function bad(what: string, problem: string): DeadpeerError {
  return new DeadpeerError("bad-address", `${what}: ${problem}`);
}

/**
 * A test for one end of a connection: whether any of the filters fits. No filter fits everything.
 *
 * @example endpointTest([parseEndpoint("10.0.0.0/8", "--local")])({ address: "10.1.2.3", port: 80 }) // true
 */
export function endpointTest(
  filters: readonly EndpointFilter[],
): (end: { readonly address: string; readonly port: number }) => boolean {
  if (filters.length === 0) return () => true;
  const tests = filters.map(({ network, port }) => {
    const list = network === null ? null : networkList(network);
    return (end: { readonly address: string; readonly port: number }): boolean =>
      (port === null || end.port === port) &&
      (list === null || list.check(end.address, end.address.includes(":") ? "ipv6" : "ipv4"));
  });
  return (end) => tests.some((test) => test(end));
}

function networkList(network: string): BlockList {
  const [address = "", prefix = ""] = network.split("/");
  const list = new BlockList();
  list.addSubnet(address, Number(prefix), isIPv4(address) ? "ipv4" : "ipv6");
  return list;
}
