import { DeadpeerError } from "../errors.js";

/**
 * Reads a port number.
 *
 * @throws DeadpeerError `bad-filter` for anything but 1 to 65535: no connection has such a port.
 * @example parsePort("443", "--port") // 443
 */
export function parsePort(text: string, what: string): number {
  const port = /^\d+$/.test(text.trim()) ? Number(text) : Number.NaN;
  if (port >= 1 && port <= 65_535) return port;
  throw new DeadpeerError("bad-filter", `${what}: "${text}" is not a port; ports go from 1 to 65535`);
}
