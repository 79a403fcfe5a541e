import type { IncomingMessage } from "node:http";
import { DeadpeerError } from "../../errors.js";
import { settingsFrom, type Wanted } from "../../guard/settings.js";
import { durationMs, formatDuration } from "../../plan/duration.js";
import type { Settings } from "../../plan/settings.js";
import type { TimeLimits } from "./assess.js";
import type { CountLimits } from "./clients.js";
import { Networks } from "./networks.js";
import { problemInPolicy } from "./policy-fields.js";

/** A duration as people write it, `"35s"`, or milliseconds. */
export type Duration = string | number;

/** How a server's connections are held. Whatever is left out is not limited, except for `pressure`. */
export interface GovernorPolicy {
  /** In what time a dead peer is noticed, by TCP itself: `"35s"`, or anything that `guardListener` takes. */
  readonly detect?: Duration | Wanted;
  /** A connection on which nothing has moved for so long, in either direction, is closed. A request being answered is not idle. */
  readonly idle?: Duration;
  /** The first byte has to come within this. */
  readonly firstByte?: Duration;
  /** TLS has to be agreed on within this. */
  readonly handshake?: Duration;
  /** A request's head has to be complete within this, counted from the connection for the first one, and from its first byte later. */
  readonly head?: Duration;
  /** The lowest rate at which a request's body may come, and a response be taken. */
  readonly body?: {
    readonly bytesPerSecond: number;
    /** Over which it is measured. Default 5s. */
    readonly window?: Duration;
  };
  /** How old a connection may become: it is then let go in order. */
  readonly maxAge?:
    | Duration
    | {
        readonly after: Duration;
        /** Up to this part of it sooner, so that connections made together do not end together. Default 0.1. */
        readonly jitter?: number;
        /** So long it may take to end in order. Default 30s. */
        readonly grace?: Duration;
      };
  /** Connections at a time. */
  readonly total?: number;
  /** Connections at a time of one client. */
  readonly perClient?: number;
  /** New connections of one client: `count` at once, and from then on as many in each `within`. */
  readonly newPerClient?: { readonly count: number; readonly within: Duration };
  /** Whether one connection too many is refused, or the one that has been inactive for longest makes room. Default: refuse. */
  readonly atLimit?: "refuse" | "evict";
  /** In a worker of a cluster: whether the limits hold over all its workers, counted by `governCluster` in the primary. Default: true. */
  readonly cluster?: boolean;
  /** What a client is. Default: its address; of IPv6 the first 64 bits. */
  readonly client?: {
    readonly ipv6Prefix?: number;
    /** Names the client in its own way; the same text is the same client. */
    readonly key?: (peer: PeerAddress) => string;
    /** Behind an HTTP proxy: the header that names the client, believed of these proxies only; `unix`: of those on a Unix socket. */
    readonly header?: { readonly name: "x-forwarded-for" | "forwarded"; readonly from: readonly string[] };
  };
  /** Behind a proxy that says by PROXY protocol (1 or 2) whom it speaks for: from these networks, or `unix`, the header is required. */
  readonly proxy?: {
    readonly from: readonly string[];
    /** The header has to be complete within this. Default 5s. */
    readonly within?: Duration;
    /** Whether connections from elsewhere are served as clients of their own. One that begins with a header never is. Default: true. */
    readonly direct?: boolean;
  };
  /**
   * From which part of the limit on, idle connections are shed: of open files, and of memory (this process's share of its cgroup or
   * machine, or of V8's heap). Default 0.9 each; null switches it off.
   */
  readonly pressure?: { readonly descriptors?: number | null; readonly memory?: number | null } | null;
}

/** Whom a connection comes from. */
export interface PeerAddress {
  readonly address: string;
  readonly port: number;
  /** The request that names the client, where a header does. */
  readonly request?: IncomingMessage;
}

/** A policy as the governor's parts take it. */
export interface GovernorSettings {
  readonly detect: Settings | null;
  readonly times: TimeLimits;
  readonly counts: CountLimits;
  readonly age: { readonly afterMs: number; readonly jitter: number; readonly graceMs: number } | null;
  readonly evict: boolean;
  readonly cluster: boolean;
  readonly client: {
    readonly ipv6Prefix: number;
    readonly key: ((peer: PeerAddress) => string) | null;
    readonly header: { readonly name: "x-forwarded-for" | "forwarded"; readonly from: Networks } | null;
  };
  readonly proxy: { readonly from: Networks; readonly withinMs: number; readonly direct: boolean } | null;
  readonly pressure: { readonly descriptors: number | null; readonly memory: number | null };
}

/**
 * Reads a policy.
 *
 * @throws DeadpeerError `bad-option` for what is not allowed or contradicts itself, `bad-duration`, `bad-address`; the message
 *   begins with the field. For `detect` also what `planDetection` throws.
 */
export function governorSettings(policy: GovernorPolicy): GovernorSettings {
  const problem = problemInPolicy(policy);
  if (problem !== null) throw new DeadpeerError("bad-option", problem);
  const { client = {}, proxy, pressure = {}, total = null, perClient = null } = policy;
  const settings: GovernorSettings = {
    detect: policy.detect === undefined ? null : detectSettings(policy.detect),
    times: {
      firstByteMs: optionalMs(policy.firstByte, "firstByte"),
      handshakeMs: optionalMs(policy.handshake, "handshake"),
      headMs: optionalMs(policy.head, "head"),
      idleMs: optionalMs(policy.idle, "idle"),
      body:
        policy.body === undefined
          ? null
          : {
              bytesPerSecond: policy.body.bytesPerSecond,
              windowMs: positiveMs(policy.body.window ?? "5s", "body.window"),
            },
    },
    counts: {
      total,
      perClient,
      newPerClient:
        policy.newPerClient === undefined
          ? null
          : {
              count: policy.newPerClient.count,
              withinMs: positiveMs(policy.newPerClient.within, "newPerClient.within"),
            },
    },
    age: ageSettings(policy.maxAge),
    evict: policy.atLimit === "evict",
    cluster: policy.cluster ?? true,
    client: {
      ipv6Prefix: client.ipv6Prefix ?? 64,
      key: client.key ?? null,
      header:
        client.header === undefined
          ? null
          : { name: client.header.name, from: networksOf(client.header.from, "client.header.from") },
    },
    proxy:
      proxy === undefined
        ? null
        : {
            from: networksOf(proxy.from, "proxy.from"),
            withinMs: positiveMs(proxy.within ?? "5s", "proxy.within"),
            direct: proxy.direct ?? true,
          },
    pressure:
      pressure === null
        ? { descriptors: null, memory: null }
        : { descriptors: orDefault(pressure.descriptors), memory: orDefault(pressure.memory) },
  };
  const contradiction = contradictionIn(settings);
  if (contradiction !== null) throw new DeadpeerError("bad-option", contradiction);
  return settings;
}

function orDefault(part: number | null | undefined): number | null {
  return part === undefined ? 0.9 : part;
}

function detectSettings(detect: Duration | Wanted): Settings {
  const wanted = typeof detect === "object" ? detect : { detectWithin: detect };
  try {
    return settingsFrom(wanted);
  } catch (error) {
    if (!(error instanceof DeadpeerError)) throw error;
    throw new DeadpeerError(error.code, `detect: ${error.message}`, { cause: error });
  }
}

function ageSettings(maxAge: GovernorPolicy["maxAge"]): GovernorSettings["age"] {
  if (maxAge === undefined) return null;
  const { after, jitter = 0.1, grace = "30s" } = typeof maxAge === "object" ? maxAge : { after: maxAge };
  const what = typeof maxAge === "object" ? "maxAge.after" : "maxAge";
  return { afterMs: positiveMs(after, what), jitter, graceMs: durationMs(grace, "maxAge.grace") };
}

function optionalMs(value: Duration | undefined, what: string): number | null {
  return value === undefined ? null : positiveMs(value, what);
}

function positiveMs(value: Duration, what: string): number {
  const ms = durationMs(value, what);
  if (ms > 0) return ms;
  throw new DeadpeerError("bad-option", `${what}: 0 leaves no time at all; leave it out for no limit`);
}

function networksOf(texts: readonly string[], what: string): Networks {
  try {
    return new Networks(texts);
  } catch (error) {
    if (!(error instanceof DeadpeerError)) throw error;
    throw new DeadpeerError(error.code, `${what}: ${error.message}`, { cause: error });
  }
}

/** What cannot hold beside something else that is asked for. */
function contradictionIn({ times, counts, age, evict }: GovernorSettings): string | null {
  const { firstByteMs, handshakeMs, headMs, idleMs } = times;
  const { total, perClient } = counts;
  if (total !== null && perClient !== null && perClient > total)
    return `perClient: ${perClient} connections of one client are more than total allows, ${total}`;
  if (evict && total === null && perClient === null)
    return "atLimit: nothing is evicted without total or perClient";
  for (const [name, ms, within, withinMs] of [
    ["firstByte", firstByteMs, "the whole head may take", headMs],
    ["firstByte", firstByteMs, "TLS may take to be agreed on", handshakeMs],
    ["firstByte", firstByteMs, "a connection may be idle", idleMs],
    ["firstByte", firstByteMs, "a connection may live", age?.afterMs ?? null],
    ["handshake", handshakeMs, "a connection may live", age?.afterMs ?? null],
    ["head", headMs, "a connection may live", age?.afterMs ?? null],
    ["idle", idleMs, "a connection may live", age?.afterMs ?? null],
  ] as const)
    if (ms !== null && withinMs !== null && ms > withinMs)
      return `${name}: ${formatDuration(ms)} is longer than ${within}, ${formatDuration(withinMs)}`;
  return null;
}
