import { type Fault, type Hop, type Keeping, type Role, type Sending, wholeSeconds } from "../hop.js";
import { type Directive, nginxTime } from "./directives.js";

/** Of ngx_http_core_module and ngx_http_upstream_module (keepalive_timeout there since 1.15.3). */
const defaultKeepAliveMs = 75_000;
const defaultUpstreamIdleMs = 60_000;

/** What a server or location has from what surrounds it. */
interface Context {
  readonly keepAlive: { readonly ms: number; readonly advertisedMs: number | null; readonly place: string };
  readonly httpVersion: string;
  /** The Connection header of requests to upstreams; null: nginx's own, "close". */
  readonly connection: string | null;
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
  readonly context: Context;
  readonly place: string;
}

const outermost: Context = {
  keepAlive: { ms: defaultKeepAliveMs, advertisedMs: null, place: "default" },
  // Until 1.29.6; with 1.1 nothing is kept either unless an upstream says so.
  httpVersion: "1.0",
  connection: null,
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
      .map((directive) => [directive.args[0] ?? "", readUpstream(directive)]),
  );
  const contexts: Context[] = [];
  const passings: Passing[] = [];
  const walk = (block: readonly Directive[], outer: Context): void => {
    const context = inherit(block, outer);
    contexts.push(context);
    for (const { name, args, block: inner, place } of block) {
      if (name === "proxy_pass" || name === "grpc_pass") {
        const upstream = upstreamOf(args[0] ?? "", upstreams);
        // gRPC is HTTP/2, which has no Connection header.
        const sent = name === "grpc_pass" ? { ...context, httpVersion: "2", connection: "" } : context;
        if (only === null || upstream?.name === only) passings.push({ upstream, context: sent, place });
      }
      if (inner !== null && ["server", "location", "if", "limit_except"].includes(name)) walk(inner, context);
    }
  };
  const outer = inherit(top, outermost);
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
    upstreams: [...upstreams.keys()],
    faults: [
      ...advertisedTooMuch(contexts, given),
      ...(role === "server" ? [] : notInEffect(passings, given)),
    ],
  };
}

function inherit(block: readonly Directive[], outer: Context): Context {
  const last = (name: string): Directive | undefined => block.findLast((one) => one.name === name);
  const timeout = last("keepalive_timeout");
  const headers = block.filter(({ name }) => name === "proxy_set_header");
  const connection = headers.findLast(({ args }) => args[0]?.toLowerCase() === "connection");
  return {
    keepAlive:
      timeout === undefined
        ? outer.keepAlive
        : {
            ms: nginxTime(timeout.args[0] ?? "", timeout.place),
            advertisedMs: timeout.args[1] === undefined ? null : nginxTime(timeout.args[1], timeout.place),
            place: timeout.place,
          },
    httpVersion: last("proxy_http_version")?.args[0] ?? outer.httpVersion,
    // proxy_set_header is inherited only where there is none at all (ngx_http_proxy_module).
    connection: headers.length === 0 ? outer.connection : (connection?.args[1] ?? null),
  };
}

function readUpstream({ args, block, place }: Directive): Upstream {
  const last = (name: string): Directive | undefined => block?.findLast((one) => one.name === name);
  const timeout = last("keepalive_timeout");
  return {
    name: args[0] ?? "",
    keepalive: last("keepalive")?.args[0] ?? null,
    idleMs: timeout === undefined ? defaultUpstreamIdleMs : nginxTime(timeout.args[0] ?? "", timeout.place),
    place: timeout?.place ?? `default, ${place}`,
  };
}

function upstreamOf(url: string, upstreams: ReadonlyMap<string, Upstream>): Upstream | null {
  const [, host] = /^(?:\w+:\/\/)?([^/:]+)/.exec(url) ?? [];
  return upstreams.get(host ?? "") ?? null;
}

/** Whether it could be used again: a header that is a variable may well be empty. */
function isReused({ upstream, context }: Passing): boolean {
  return upstream !== null && upstream.keepalive !== null && isClear(context);
}

function isClear({ httpVersion, connection }: Context): boolean {
  return (
    httpVersion !== "1.0" && connection !== null && (connection === "" || /\$|keep-alive/i.test(connection))
  );
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
  const kept = contexts.map(({ keepAlive }) => keepAlive).filter(({ ms }) => ms > 0);
  const shortest = kept.toSorted((a, b) => a.ms - b.ms)[0];
  return {
    noKeepAlive: shortest === undefined ? "closes after each answer (keepalive_timeout 0)" : null,
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
  for (const { upstream, context, place } of passings) {
    if (upstream === null || upstream.keepalive === null || isClear(context)) continue;
    const lacks = [
      ...(context.httpVersion === "1.0" ? ["proxy_http_version 1.1;"] : []),
      ...(context.connection === null || !/^$|\$|keep-alive/i.test(context.connection)
        ? ['proxy_set_header Connection "";']
        : []),
    ];
    yield {
      code: "keepalive-not-in-effect",
      message: `upstream ${upstream.name} is to keep ${upstream.keepalive} connections, but what is passed on at ${place} ${context.httpVersion === "1.0" ? "goes out as HTTP/1.0" : 'says "Connection: close"'}: each request opens a connection of its own.`,
      set: [{ hop: `nginx (${given})`, line: lacks.join(" ") }],
    };
  }
}
