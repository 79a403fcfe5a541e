import { type Address, addressesOf, formatEndpoint } from "../../client/nat/target.js";
import { wait } from "../../client/nat/wait.js";
import { DeadpeerError } from "../../errors.js";
import { type KeepAliveHint, parseKeepAlive } from "../keep-alive-header.js";
import { type Answer, persistsAfter } from "./answer-reader.js";
import { Server, type ServerOptions } from "./server.js";
import { type HttpTarget, readTarget } from "./target.js";
import type { Exchange, Wire } from "./wire.js";

/** What two requests on one connection tell. */
export interface FirstLook {
  readonly server: Server;
  readonly addresses: number;
  readonly protocol: "HTTP/1.0" | "HTTP/1.1" | "HTTP/2";
  readonly answer: Answer;
  /** Where the answer points; null: nowhere. */
  readonly location: string | null;
  readonly hint: KeepAliveHint | null;
  /** The answer ended before its end. */
  readonly brokenOff: boolean;
  /** More came than was asked for. */
  readonly unaskedBytes: number;
  /** Why the connection cannot be used again, in words that follow "the server"; null: it was. */
  readonly whyNot: string | null;
  readonly rttMs: number | null;
}

/**
 * Sends a request, and a second one on the same connection.
 *
 * @throws DeadpeerError `cannot-connect`, `http-protocol`, `bad-option`; whatever the signal is aborted with.
 */
export async function lookFirst(
  options: Omit<ServerOptions, "address">,
  family: 4 | 6 | null,
): Promise<FirstLook> {
  const addresses = await addressesOf(options.target, family, options.signal);
  const { server, wire } = await firstThatStands(options, addresses);
  try {
    const { patienceMs } = options;
    const first = await wire.exchange({ patienceMs });
    options.signal.throwIfAborted();
    const answer = expectAnswer(first, server.options);
    const second = first.fate === "answered" && persistsAfter(answer) ? await again(wire, options) : null;
    options.signal.throwIfAborted();
    return {
      server,
      addresses: addresses.length,
      protocol: wire.protocol === "HTTP/2" ? "HTTP/2" : answer.version === "1.0" ? "HTTP/1.0" : "HTTP/1.1",
      answer,
      location: redirection(answer, options.target),
      hint: wire.protocol === "HTTP/2" ? null : parseKeepAlive(answer.headers.get("keep-alive")),
      brokenOff: first.fate === "broken-off",
      unaskedBytes: wire.unaskedBytes,
      whyNot: whyNot(first.fate, answer, second, wire.unaskedBytes),
      rttMs: wire.rttMs,
    };
  } finally {
    wire.close();
  }
}

/** What a server adds to its answer comes right behind it. */
const addedWithinMs = 20;

async function again(
  wire: Wire,
  { patienceMs, signal }: Pick<ServerOptions, "patienceMs" | "signal">,
): Promise<Exchange> {
  await Promise.race([wait(addedWithinMs, signal), wire.ended]);
  return wire.exchange({ patienceMs });
}

async function firstThatStands(
  options: Omit<ServerOptions, "address">,
  addresses: readonly Address[],
): Promise<{ server: Server; wire: Wire }> {
  let problem: unknown = null;
  for (const address of addresses) {
    const server = new Server({ ...options, address });
    try {
      return { server, wire: await server.open() };
    } catch (error) {
      if (!(error instanceof DeadpeerError) || error.code !== "cannot-connect") throw error;
      problem ??= error;
    }
  }
  throw problem ?? new DeadpeerError("cannot-connect", `${options.target.host} has no address`);
}

function expectAnswer({ fate, answer, problem }: Exchange, options: ServerOptions): Answer {
  const { address, patienceMs } = options;
  const endpoint = formatEndpoint(address.address, address.port);
  const refuse = (what: string): DeadpeerError => new DeadpeerError("cannot-connect", `${endpoint} ${what}`);
  switch (fate) {
    case "reset":
      throw refuse(problem ?? "resets the connection instead of answering");
    case "closed":
      throw refuse("closes the connection instead of answering");
    case "lost":
      throw refuse(
        `takes the connection, but ${answer === null ? "answers nothing" : "its answer does not end"} within ${Math.round(patienceMs / 100) / 10}s; --timeout waits longer`,
      );
    case "unreadable":
      throw new DeadpeerError("http-protocol", `${endpoint}: the server's answer ${problem}`);
    default:
      if (answer === null) throw refuse("sends nothing that could be read");
      return answer;
  }
}

function whyNot(
  fate: Exchange["fate"],
  answer: Answer,
  second: Exchange | null,
  unaskedBytes: number,
): string | null {
  if (fate === "broken-off") return "ends the connection in the middle of its answer";
  if (answer.framing === "until-close")
    return "answers without a length: only the end of the connection ends the answer";
  if (unaskedBytes > 0)
    return `sends ${unaskedBytes} bytes more than its answer has: the next answer could not be told from them`;
  if (second === null)
    return answer.version === "1.0"
      ? "speaks HTTP/1.0 and does not offer to keep the connection"
      : 'answers "Connection: close"';
  switch (second.fate) {
    case "answered":
      return null;
    case "reset":
      return (
        second.problem ??
        "resets the connection when it is used again, although its answer lets that be expected"
      );
    case "lost":
      return "does not answer a second request on the connection";
    case "unreadable":
      return `gives a second answer on the connection that ${second.problem}`;
    default:
      return "closes the connection after its answer, which does not say so";
  }
}

/** 300 and 304 point nowhere that a client would have to go. */
const redirects = new Set([301, 302, 303, 307, 308]);

function redirection({ status, headers }: Answer, target: HttpTarget): string | null {
  const [location] = headers.get("location") ?? [];
  if (location === undefined || !redirects.has(status)) return null;
  try {
    const url = new URL(location, target.url);
    // A password in it is nothing to print, nor is it sent.
    url.username = "";
    url.password = "";
    return url.href;
  } catch {
    return null;
  }
}

function whereTo({ location, server }: FirstLook): HttpTarget {
  try {
    return readTarget(location ?? "");
  } catch (error) {
    throw new DeadpeerError(
      "http-protocol",
      `${server.options.target.url} redirects to ${location}, which is not measured`,
      { cause: error },
    );
  }
}

/** What was given for one host, a password perhaps, is not shown to another, nor to those who listen on the way there. */
function mayHave({ authority, secure }: HttpTarget, given: HttpTarget): boolean {
  return authority === given.authority && (secure || !given.secure);
}

/** As many as browsers and clients follow, roughly; more go round in a circle. */
const mostRedirects = 10;

/**
 * The same, at the end of redirects.
 *
 * @param followed told of each redirect.
 * @throws DeadpeerError as lookFirst; `http-protocol` where they do not end, or end elsewhere than in HTTP.
 */
export async function lookBehindRedirects(
  options: Omit<ServerOptions, "address">,
  family: 4 | 6 | null,
  followed: (url: string) => void,
): Promise<FirstLook> {
  let look = await lookFirst(options, family);
  for (let hops = 1; look.location !== null; hops++) {
    if (hops > mostRedirects)
      throw new DeadpeerError(
        "http-protocol",
        `${options.target.url} redirects more than ${mostRedirects} times`,
      );
    const target = whereTo(look);
    followed(target.url);
    const headers = mayHave(target, options.target) ? options.headers : [];
    look = await lookFirst({ ...options, target, headers }, family);
  }
  return look;
}
