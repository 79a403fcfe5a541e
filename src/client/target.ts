import { isIP } from "node:net";
import { DeadpeerError } from "../errors.js";
import type { Transport } from "../heartbeat/session/wire.js";

/** One way to a server. */
export interface Target {
  readonly transport: Transport;
  readonly host: string;
  readonly port: number;
}

const transports: ReadonlySet<string> = new Set<Transport>(["tcp", "tls", "udp"]);

/**
 * Reads `tcp://host:port`, `tls://host:port` or `udp://host:port`; an IPv6 address stands in brackets.
 *
 * @throws DeadpeerError `bad-address`.
 */
export function parseTarget(text: string): Target {
  const match = /^([a-z]+):\/\/(?:\[([^\]]+)\]|([^:/[\]]+)):(\d+)\/?$/.exec(text);
  const [, transport = "", bracketed, plain, port = ""] = match ?? [];
  const host = bracketed ?? plain ?? "";
  if (
    !transports.has(transport) ||
    (bracketed !== undefined && isIP(bracketed) !== 6) ||
    !isPort(Number(port))
  )
    throw new DeadpeerError(
      "bad-address",
      `"${text}" is not the address of a server; write tcp://host:port, tls://host:port or udp://host:port, an IPv6 address in brackets`,
    );
  return { transport: transport as Transport, host, port: Number(port) };
}

/** @throws DeadpeerError `bad-address`. */
export function targetsFrom(
  to: string | Target | readonly (string | Target)[],
): readonly [Target, ...Target[]] {
  const given: readonly (string | Target)[] = Array.isArray(to) ? to : [to];
  const [first, ...more] = given.map((target) =>
    typeof target === "string" ? parseTarget(target) : checked(target),
  );
  if (first === undefined) throw new DeadpeerError("bad-address", "no address of a server was given");
  return [first, ...more];
}

/** For callers without a type checker, too. */
function checked(target: Target | undefined): Target {
  const { transport = "", host = "", port = 0 } = target ?? {};
  if (!transports.has(transport) || host === "" || !isPort(port))
    throw new DeadpeerError(
      "bad-address",
      `transport "${transport}", host "${host}", port ${port} are not the address of a server; write "tls://host:port", for example`,
    );
  return { transport: transport as Transport, host, port };
}

export function targetText({ transport, host, port }: Target): string {
  return `${transport}://${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= 65_535;
}
