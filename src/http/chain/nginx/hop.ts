import { type Fault, type Hop, type Keeping, type Role, type Sending, wholeSeconds } from "../hop.js";
import { badConfiguration } from "../config-error.js";
import {
  closing,
  type ConnectionHeader,
  connectionHeader,
  letsReuse,
  reusingLine,
} from "./connection-header.js";
import { type Directive, nginxTime } from "./directives.js";

/** Of ngx_http_core_module and ngx_http_upstream_module (keepalive_timeout there since 1.15.3). */
const defaultKeepAliveMs = 75_000;
const defaultUpstreamIdleMs = 60_000;

/** What a server or location has from what surrounds it. */
interface Context {
  readonly keepAlive: { readonly ms: number; readonly advertisedMs: number | null; readonly place: string };
  /** On one connection. */
  readonly requests: number;
  readonly httpVersion: string;
  readonly connection: ConnectionHeader;
}

interface Upstream {
  readonly name: string;
  /** Connections that are kept; null: none. */
  readonly keepalive: string | null;
  readonly idleMs: number;
  readonly place: string;
}

/** A place that requests are passed on from. */
interface Passing {
  readonly upstream: Upstream | null;
  /** It is one of several: a variable tells which. */
  readonly maybe: boolean;
  readonly context: Context;
  readonly place: string;
}

const outermost: Context = {
  keepAlive: { ms: defaultKeepAliveMs, advertisedMs: null, place: "default" },
  requests: 1_000,
  // Until 1.29.6; with 1.1 nothing is kept either unless an upstream says so.
  httpVersion: "1.0",
  connection: closing,
};

/**
 * What an nginx does with idle connections, on both sides. Of several servers and locations the shortest time counts towards the
 * clients, and of several upstreams the longest towards them.
 *
 * Pure.
 *
 * @param only the upstream that is meant; null: all.
 * @throws DeadpeerError `bad-configuration`
 */
export function nginxHop(
  directives: readonly Directive[],
  role: Role,
  given: string,
  only: string | null,
): Hop {
  const http = directives.filter(({ name }) => name === "http").flatMap(({ block }) => block ?? []);
  // A file of sites-enabled has no http block of its own.
  const top = http.length > 0 ? http : directives;
  const upstreams = new Map(
    top
      .filter(({ name }) => name === "upstream")
      // Their names are compared without case (ngx_http_upstream_add).
      .map((directive) => [directive.args[0]?.toLowerCase() ?? "", readUpstream(directive)]),
  );
  const contexts: Context[] = [];
  const passings: Passing[] = [];
  const walk = (block: readonly Directive[], outer: Context): void => {
    const context = inherit(block, outer, top);
    contexts.push(context);
    for (const { name, args, block: inner, place } of block) {
      if (name === "proxy_pass" || name === "grpc_pass") {
        // gRPC is HTTP/2.
        const sent = name === "grpc_pass" ? { ...context, httpVersion: "2" } : context;
        for (const one of upstreamsOf(args[0] ?? "", upstreams))
          if (only === null || one.upstream?.name === only) passings.push({ ...one, context: sent, place });
      }
      if (inner !== null && ["server", "location", "if", "limit_except"].includes(name)) walk(inner, context);
    }
  };
  const outer = inherit(top, outermost, top);
  for (const { name, block } of top) if (name === "server" && block !== null) walk(block, outer);
  // Settings without servers: what they would inherit.
  if (contexts.length === 0) contexts.push(outer);
  return {
    role,
    given,
    name: `nginx (${given})`,
    sending: role === "server" ? null : sendingOf(passings),
    keeping: role === "client" ? null : keepingOf(contexts),
    forgetsMs: null,
    upstreams: [...upstreams.values()].map((upstream) => upstream.name),
    unknown: { sending: "passes no request on (by proxy_pass or grpc_pass)" },
    faults: [
      ...advertisedTooMuch(contexts, given),
      ...(role === "server" ? [] : notInEffect(passings, given)),
    ],
  };
}

function inherit(block: readonly Directive[], outer: Context, top: readonly Directive[]): Context {
  const last = (name: string): Directive | undefined => block.findLast((one) => one.name === name);
  const timeout = last("keepalive_timeout");
  const headers = block.filter(({ name }) => name === "proxy_set_header");
  const connection = headers.findLast(({ args }) => args[0]?.toLowerCase() === "connection");
  const requests = Number(last("keepalive_requests")?.args[0] ?? outer.requests);
  return {
    keepAlive: timeout === undefined ? outer.keepAlive : readKeepAlive(timeout),
    requests: Number.isNaN(requests) ? outer.requests : requests,
    httpVersion: last("proxy_http_version")?.args[0] ?? outer.httpVersion,
    // proxy_set_header is inherited only where there is none at all (ngx_http_proxy_module).
    connection:
      headers.length === 0
        ? outer.connection
        : connection === undefined
          ? closing
          : connectionHeader(connection.args[1] ?? "", top),
  };
}

function readKeepAlive({ args, place }: Directive): Context["keepAlive"] {
  const [time = "", advertised, ...more] = args;
  if (more.length > 0) throw badConfiguration(place, "keepalive_timeout takes two times, and no more");
  // Of 0 nothing is said.
  const advertisedMs = advertised === undefined ? null : nginxTime(advertised, place) || null;
  return { ms: nginxTime(time, place), advertisedMs, place };
}

function readUpstream({ args, block, place }: Directive): Upstream {
  const last = (name: string): Directive | undefined => block?.findLast((one) => one.name === name);
  const timeout = last("keepalive_timeout");
  const keepalive = last("keepalive")?.args[0] ?? null;
  if (timeout !== undefined && timeout.args.length > 1)
    throw badConfiguration(timeout.place, "an upstream's keepalive_timeout takes one time, without spaces");
  return {
    name: args[0] ?? "",
    keepalive: keepalive === "0" ? null : keepalive,
    idleMs: timeout === undefined ? defaultUpstreamIdleMs : nginxTime(timeout.args[0] ?? "", timeout.place),
    place: timeout?.place ?? `default, ${place}`,
  };
}

/** Of a variable any of them, for it may say what it will. */
function upstreamsOf(
  url: string,
  upstreams: ReadonlyMap<string, Upstream>,
): readonly Pick<Passing, "upstream" | "maybe">[] {
  const [, host = ""] = /^(?:\w+:\/\/)?([^/:]+)/.exec(url) ?? [];
  if (host.includes("$") && upstreams.size > 0)
    return [...upstreams.values()].map((upstream) => ({ upstream, maybe: upstreams.size > 1 }));
  return [{ upstream: upstreams.get(host.toLowerCase()) ?? null, maybe: false }];
}

function isReused({ upstream, context }: Passing): boolean {
  return upstream !== null && upstream.keepalive !== null && isKept(context);
}

/** HTTP/2 has no Connection header. */
function isKept({ httpVersion, connection }: Context): boolean {
  return httpVersion === "2" || (httpVersion !== "1.0" && letsReuse(connection));
}

function sendingOf(passings: readonly Passing[]): Sending | null {
  if (passings.length === 0) return null;
  const used = passings.filter(isReused).flatMap(({ upstream }) => (upstream === null ? [] : [upstream]));
  const longest = used.toSorted((a, b) => b.idleMs - a.idleMs)[0];
  if (longest === undefined)
    return {
      noReuse: passings.some(({ upstream }) => upstream !== null && upstream.keepalive !== null)
        ? "is told to keep connections to its upstream, and does not"
        : "opens a connection to its upstream for each request (no keepalive in an upstream block)",
      idle: { ms: null, name: "keepalive_timeout", place: "" },
      hint: null,
      set: null,
    };
  return {
    noReuse: null,
    idle: {
      ms: longest.idleMs,
      name: `keepalive_timeout of upstream ${longest.name}`,
      place: longest.place,
    },
    hint: null,
    set: (ms) => `upstream ${longest.name} { keepalive_timeout ${wholeSeconds(ms)}; }`,
  };
}

function keepingOf(contexts: readonly Context[]): Keeping {
  const kept = contexts.filter(({ keepAlive, requests }) => keepAlive.ms > 0 && requests > 1);
  const shortest = kept.map(({ keepAlive }) => keepAlive).toSorted((a, b) => a.ms - b.ms)[0];
  const by = contexts.some(({ keepAlive }) => keepAlive.ms > 0)
    ? "keepalive_requests"
    : "keepalive_timeout 0";
  return {
    noKeepAlive: shortest === undefined ? `closes after each answer (${by})` : null,
    keepAlive: { ms: shortest?.ms ?? 0, name: "keepalive_timeout", place: shortest?.place ?? "" },
    advertisedMs: shortest?.advertisedMs ?? null,
    set: (ms) => `keepalive_timeout ${wholeSeconds(ms)};`,
  };
}

function* advertisedTooMuch(contexts: readonly Context[], given: string): Generator<Fault> {
  const places = new Set<string>();
  for (const { keepAlive } of contexts) {
    const { ms, advertisedMs, place } = keepAlive;
    if (advertisedMs === null || advertisedMs <= ms || ms === 0 || places.has(place)) continue;
    places.add(place);
    yield {
      code: "advertises-more-than-it-keeps",
      message: `nginx keeps an idle connection for ${wholeSeconds(ms)} and says that it does so for ${wholeSeconds(advertisedMs)} (${place}): clients that believe it send into a closed connection.`,
      set: [
        {
          hop: `nginx (${given})`,
          line: `keepalive_timeout ${wholeSeconds(advertisedMs + 1_000)} ${wholeSeconds(advertisedMs)};`,
        },
      ],
    };
  }
}

function* notInEffect(passings: readonly Passing[], given: string): Generator<Fault> {
  for (const { upstream, maybe, context, place } of passings) {
    if (upstream === null || maybe || upstream.keepalive === null || isKept(context)) continue;
    const { httpVersion, connection } = context;
    const lacks = [
      ...(httpVersion === "1.0" ? ["proxy_http_version 1.1;"] : []),
      ...(letsReuse(connection) ? [] : [reusingLine(connection)]),
    ];
    yield {
      code: "keepalive-not-in-effect",
      message: `upstream ${upstream.name} is to keep ${upstream.keepalive} connections, but what is passed on at ${place} ${httpVersion === "1.0" ? "goes out as HTTP/1.0" : 'says "Connection: close"'}: each request opens a connection of its own.`,
      set: [{ hop: `nginx (${given})`, line: lacks.join(" ") }],
    };
  }
}
