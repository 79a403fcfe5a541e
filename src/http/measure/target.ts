import { DeadpeerError } from "../../errors.js";

/** A URL to measure, taken apart. */
export interface HttpTarget {
  /** As it is printed: without a fragment. */
  readonly url: string;
  readonly secure: boolean;
  /** A name, or an address without brackets. */
  readonly host: string;
  readonly port: number;
  /** What a Host header says. */
  readonly authority: string;
  /** Path and query. */
  readonly path: string;
}

/**
 * Reads a URL; what has no scheme is taken for http://.
 *
 * @throws DeadpeerError `bad-address`: no URL, another scheme, or one with a user and password in it.
 * @example readTarget("https://[2001:db8::1]:8443/health").port // 8443
 */
export function readTarget(text: string): HttpTarget {
  const bad = (problem: string): DeadpeerError =>
    new DeadpeerError("bad-address", `"${text}" ${problem}; write http://HOST[:PORT]/PATH or https://…`);
  let url: URL;
  try {
    url = new URL(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`);
  } catch {
    throw bad("is no URL");
  }
  if (url.protocol !== "http:" && url.protocol !== "https:")
    throw bad(`has the scheme ${url.protocol.slice(0, -1)}, which is not measured`);
  if (url.username !== "" || url.password !== "")
    throw new DeadpeerError(
      "bad-address",
      "a user and password in the URL would be printed with it; give --header 'Authorization: …'",
    );
  url.hash = "";
  const secure = url.protocol === "https:";
  return {
    url: url.href,
    secure,
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: url.port === "" ? (secure ? 443 : 80) : Number(url.port),
    authority: url.host,
    path: url.pathname + url.search,
  };
}
