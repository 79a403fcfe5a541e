import type { Directive } from "./directives.js";

/** The Connection header of requests to upstreams. */
export interface ConnectionHeader {
  /** Of a request that asks for no upgrade; with a "$" where that depends on something else. */
  readonly value: string;
  /** As it is written. */
  readonly given: string;
}

/** nginx's own where nothing sets another one. */
export const closing: ConnectionHeader = { value: "close", given: "close" };

/**
 * What a `proxy_set_header Connection` says, by the maps of the configuration: the usual one for WebSockets
 * (`map $http_upgrade $connection_upgrade { default upgrade; '' close; }`) has every other request's connection closed.
 *
 * @param top where the maps stand.
 */
export function connectionHeader(given: string, top: readonly Directive[]): ConnectionHeader {
  const [, name] = /^\$\{?(\w+)\}?$/.exec(given) ?? [];
  if (name === "http_upgrade") return { value: "", given };
  const map = top.findLast(({ name: kind, args }) => kind === "map" && args[1] === `$${name}`);
  if (map?.block == null || map.args[0] !== "$http_upgrade") return { value: given, given };
  const entry = (key: string): string | undefined => map.block?.find((one) => one.name === key)?.args[0];
  return { value: entry("") ?? entry("default") ?? "", given };
}

/**
 * Whether the connection can be used again after a request with it: nobody but "close" forbids that (seen with nginx 1.22), and what is
 * a variable may well be empty.
 */
export function letsReuse({ value }: ConnectionHeader): boolean {
  return !/\bclose\b/i.test(value);
}

/** The line that makes it do so. */
export function reusingLine({ given }: ConnectionHeader): string {
  return given.startsWith("$")
    ? `map $http_upgrade ${given} { default upgrade; '' ''; }`
    : 'proxy_set_header Connection "";';
}
