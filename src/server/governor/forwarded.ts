import { isIP } from "node:net";

/**
 * What a header says about the way of a request, from the server's end on; null: an address that is not told, or cannot be read. Read
 * only as far as somebody asks: a client may have written thousands of addresses into it.
 */
export type Hops = Iterable<string | null>;

/** @example [...hopsIn("x-forwarded-for", "203.0.113.9, 10.0.0.7")] // ["10.0.0.7", "203.0.113.9"] */
export function* hopsIn(name: "x-forwarded-for" | "forwarded", value: string): Generator<string | null> {
  if (name === "forwarded") {
    for (const element of splitOutsideQuotes(value, ",").toReversed()) yield forwardedHop(element);
    return;
  }
  for (let end = value.length; end >= 0; ) {
    const comma = end === 0 ? -1 : value.lastIndexOf(",", end - 1);
    yield addressIn(value.slice(comma + 1, end).trim());
    end = comma;
  }
}

/**
 * The client, by a header that proxies have added to: each has put down whom it was asked by, so it is read from the end, as far as
 * those who wrote it are trusted. What a client itself has written into the header stands further to the front.
 *
 * @returns null where the last trusted proxy does not tell.
 * @example clientBehind(["10.0.0.7", "203.0.113.9", "198.51.100.1"], (hop) => hop.startsWith("10.")) // "203.0.113.9"
 */
export function clientBehind(hops: Hops, trusted: (address: string) => boolean): string | null {
  let client: string | null = null;
  for (const hop of hops) {
    client = hop;
    if (hop === null || !trusted(hop)) break;
  }
  return client;
}

/** RFC 7239 section 4: elements with commas between, pairs with semicolons, values perhaps in quotes. */
function forwardedHop(element: string): string | null {
  for (const pair of splitOutsideQuotes(element, ";")) {
    const [name, node] = splitOnce(pair.trim());
    if (name.toLowerCase() === "for") return addressIn(unquoted(node));
  }
  return null;
}

function splitOutsideQuotes(text: string, separator: string): string[] {
  const parts: string[] = [];
  let start = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (quoted && character === "\\") at++;
    else if (character === '"') quoted = !quoted;
    else if (character === separator && !quoted) {
      parts.push(text.slice(start, at));
      start = at + 1;
    }
  }
  parts.push(text.slice(start));
  return parts;
}

function splitOnce(pair: string): [string, string] {
  const at = pair.indexOf("=");
  return at < 0 ? [pair, ""] : [pair.slice(0, at), pair.slice(at + 1)];
}

function unquoted(text: string): string {
  return text.startsWith('"') && text.endsWith('"') && text.length >= 2
    ? text.slice(1, -1).replaceAll(/\\(.)/g, "$1")
    : text;
}

/** An address, perhaps with a port, an IPv6 one perhaps in brackets; null for `unknown` and names that proxies make up. */
function addressIn(node: string): string | null {
  const match = /^\[([^\]]+)\](?::\d{1,5})?$/.exec(node) ?? /^([\d.]+)(?::\d{1,5})?$/.exec(node);
  const address = match?.[1] ?? node;
  return isIP(address) === 0 || address.includes("%") ? null : address;
}
