import { lookup } from "node:dns/promises";
import { isIP, isIPv6 } from "node:net";
import { DeadpeerError } from "../../errors.js";
import { defaultEchoPort } from "../../heartbeat/echo/lines.js";
import { unlessAborted } from "./wait.js";

/** Where to, as it was asked for. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** One address of it. */
export interface Address {
  readonly address: string;
  readonly family: 4 | 6;
  readonly port: number;
}

/**
 * Reads `HOST:PORT`, `192.0.2.1:443`, `[2001:db8::1]:443`; without a port it is the one that `deadpeer echo` listens on.
 *
 * @throws DeadpeerError `bad-address`.
 * @example parseHostPort("[2001:db8::1]:443") // { host: "2001:db8::1", port: 443 }
 */
export function parseHostPort(text: string): HostPort {
  const bad = (problem: string): DeadpeerError =>
    new DeadpeerError("bad-address", `"${text}" ${problem}; write HOST:PORT, or [IPV6]:PORT`);
  // Bare IPv6 has colons of its own, so nothing can be cut off it as a port.
  if (isIPv6(text)) return { host: text, port: defaultEchoPort };
  const match = /^(?:\[([^\]]+)\]|([^:[\]/\s]+))(?::(\d+))?$/.exec(text);
  if (match === null) throw bad("is no host and port");
  const [, bracketed, name, port] = match;
  if (bracketed !== undefined && !isIPv6(bracketed)) throw bad("has no IPv6 address in its brackets");
  const number = port === undefined ? defaultEchoPort : Number(port);
  if (number < 1 || number > 65_535) throw bad("has a port that cannot be; ports go from 1 to 65535");
  return { host: bracketed ?? name ?? "", port: number };
}

/** @example formatEndpoint("2001:db8::1", 443) // "[2001:db8::1]:443" */
export function formatEndpoint(address: string, port: number): string {
  return `${address.includes(":") ? `[${address}]` : address}:${port}`;
}

/**
 * All addresses of a host, in the resolver's order (RFC 6724).
 *
 * @param family only those; null: both.
 * @param signal ends the wait, not the resolver's own: getaddrinfo(3) cannot be interrupted.
 * @throws DeadpeerError `cannot-connect` where there are none; whatever `signal` is aborted with.
 */
export async function addressesOf(
  { host, port }: HostPort,
  family: 4 | 6 | null,
  signal: AbortSignal,
): Promise<Address[]> {
  const only = family === null ? "" : ` over IPv${family}`;
  const itself = isIP(host);
  if (itself !== 0 && family !== null && itself !== family)
    throw new DeadpeerError("bad-option", `${host} is an IPv${itself} address: it cannot be reached${only}`);
  try {
    const found = await unlessAborted(
      lookup(host, { all: true, family: family ?? 0, verbatim: true }),
      signal,
    );
    return found.map((one) => ({ address: one.address, family: one.family === 6 ? 6 : 4, port }));
  } catch (error) {
    signal.throwIfAborted();
    const { code = "" } = error as NodeJS.ErrnoException;
    const reason =
      code === "ENOTFOUND" ? "no such name" : code === "EAI_AGAIN" ? "no name server answers" : code;
    throw new DeadpeerError("cannot-connect", `${host} has no address${only}: ${reason}`, {
      operation: "getaddrinfo",
      errno: code,
      cause: error,
    });
  }
}
