import { formatDuration } from "../../plan/duration.js";
import { longestIdleMs } from "../../plan/path.js";

/** A server's settings of keep-alive, in milliseconds, 0 for none; absent: this server, or this Node, does not have it. */
export interface HttpServerSettings {
  readonly keepAliveTimeoutMs: number;
  /** What is kept beyond keepAliveTimeout, and not said in the hint (server.keepAliveTimeoutBuffer). */
  readonly keepAliveTimeoutBufferMs?: number;
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
  /** How often connections are looked through for the two above. */
  readonly connectionsCheckingIntervalMs?: number;
}

/** What stands before the server. */
export interface Front {
  readonly name: string;
  /** After so long it gives up an idle connection. */
  readonly idleMs: number;
  /** It ends the TCP connection and makes its own to the server; otherwise clients reach the server, and it only forgets. */
  readonly terminates: boolean;
}

export type TuneWarningCode =
  | "request-timeout-raised"
  | "no-request-timeout"
  | "idle-cut-by-server-timeout"
  | "requests-per-socket"
  | "checked-late"
  | "not-a-proxy"
  | "no-keep-alive";

export interface TuneWarning {
  readonly code: TuneWarningCode;
  readonly message: string;
}

/** What the server had, besides the settings that are tuned. */
export interface ServerFacts {
  readonly settings: HttpServerSettings;
  /** server.timeout: a socket on which nothing happens for so long is destroyed; 0: never. */
  readonly timeoutMs: number;
  /** server.maxRequestsPerSocket; 0: any number. */
  readonly requestsPerSocket: number;
  readonly listening: boolean;
}

/**
 * By how much a server outlasts its proxy: the proxy's timer may be late, its last request is on the way, and clocks of two machines that
 * started a little apart are compared.
 */
const outlastsMs = 5_000;
/** As Node has it unless told otherwise. */
const leastBufferMs = 1_000;
/** Node's own default takes this for headersTimeout above keepAliveTimeout. */
const headersBeyondMs = 1_000;
/** A limit is to be noticed within a tenth of itself, and looking through connections costs little more often than that. */
const checkEveryMs = 10_000;

/**
 * What a Node server has to be set to. Behind a proxy, which keeps idle connections to the server for `idleMs`, the server must be
 * the one that keeps them longer: who closes first never runs into the other's request. A box that only forgets is the other way round:
 * there the server has to close, in order, before that forgets.
 */
export function adviseServer(
  { settings, timeoutMs, requestsPerSocket, listening }: ServerFacts,
  front: Front,
): {
  readonly settings: HttpServerSettings;
  readonly warnings: readonly TuneWarning[];
} {
  const warnings: TuneWarning[] = [];
  const warn = (code: TuneWarningCode, message: string): void => void warnings.push({ code, message });
  const bufferMs =
    settings.keepAliveTimeoutBufferMs === undefined
      ? undefined
      : Math.max(settings.keepAliveTimeoutBufferMs, leastBufferMs);

  const keepAliveTimeoutMs = front.terminates
    ? Math.max(front.idleMs + outlastsMs, settings.keepAliveTimeoutMs)
    : beforeItForgets(front, settings, bufferMs ?? leastBufferMs);
  // A connection that has not carried a request yet, as proxies open them in advance, counts against headersTimeout.
  const headersTimeoutMs =
    settings.headersTimeoutMs === 0
      ? 0
      : Math.max(settings.headersTimeoutMs, keepAliveTimeoutMs + headersBeyondMs);
  const requestTimeoutMs =
    settings.requestTimeoutMs === 0 ? 0 : Math.max(settings.requestTimeoutMs, headersTimeoutMs);
  const interval = settings.connectionsCheckingIntervalMs;
  const connectionsCheckingIntervalMs =
    interval === undefined || listening ? interval : Math.min(interval, checkEveryMs);

  if (settings.keepAliveTimeoutMs === 0)
    warn(
      "no-keep-alive",
      "keepAliveTimeout was 0, so that idle connections were kept for ever, without a hint",
    );
  if (!front.terminates)
    warn(
      "not-a-proxy",
      `${front.name} makes no connections of its own: clients' connections reach this server, which now closes them after ${formatDuration(keepAliveTimeoutMs)}, before it forgets them; what else is to live longer needs TCP keepalive (guardListener)`,
    );
  if (requestTimeoutMs !== settings.requestTimeoutMs)
    warn(
      "request-timeout-raised",
      `requestTimeout of ${formatDuration(settings.requestTimeoutMs)} is shorter than headersTimeout has to be; it was raised to ${formatDuration(requestTimeoutMs)}`,
    );
  if (settings.requestTimeoutMs === 0 || settings.headersTimeoutMs === 0)
    warn(
      "no-request-timeout",
      "requestTimeout or headersTimeout is 0: a client that sends a request very slowly holds its connection for ever",
    );
  if (timeoutMs > 0 && timeoutMs <= keepAliveTimeoutMs)
    warn(
      "idle-cut-by-server-timeout",
      `server.timeout of ${formatDuration(timeoutMs)} ends connections on which nothing happens, those that wait for an answer too, before keepAliveTimeout of ${formatDuration(keepAliveTimeoutMs)} does`,
    );
  if (requestsPerSocket > 0)
    warn(
      "requests-per-socket",
      `maxRequestsPerSocket ends each connection after ${requestsPerSocket} requests; a proxy pays for that with new ones`,
    );
  const latestMs = Math.min(...[headersTimeoutMs, requestTimeoutMs].filter((ms) => ms > 0));
  if (connectionsCheckingIntervalMs !== undefined && connectionsCheckingIntervalMs > latestMs / 2)
    warn(
      "checked-late",
      `connections are looked through every ${formatDuration(connectionsCheckingIntervalMs)}, so that headersTimeout of ${formatDuration(headersTimeoutMs)} is noticed that much late; a server that listens already has to be made with a shorter connectionsCheckingInterval`,
    );
  return {
    settings: {
      keepAliveTimeoutMs,
      ...(bufferMs === undefined ? {} : { keepAliveTimeoutBufferMs: bufferMs }),
      headersTimeoutMs,
      requestTimeoutMs,
      ...(connectionsCheckingIntervalMs === undefined ? {} : { connectionsCheckingIntervalMs }),
    },
    warnings,
  };
}

/** Node closes keepAliveTimeout and its buffer after the last answer. */
function beforeItForgets(front: Front, settings: HttpServerSettings, bufferMs: number): number {
  const longestMs = Math.max(longestIdleMs(front.idleMs) - bufferMs, 1_000);
  return settings.keepAliveTimeoutMs === 0 ? longestMs : Math.min(settings.keepAliveTimeoutMs, longestMs);
}

/** The Keep-Alive header that Node sends; null: none. */
export function hintOf({ keepAliveTimeoutMs }: HttpServerSettings, requestsPerSocket: number): string | null {
  if (keepAliveTimeoutMs === 0) return null;
  const max = requestsPerSocket > 0 ? `, max=${requestsPerSocket}` : "";
  return `timeout=${Math.floor(keepAliveTimeoutMs / 1_000)}${max}`;
}
