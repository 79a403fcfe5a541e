import type { Server as HttpServer } from "node:http";
import type { Http2SecureServer } from "node:http2";
import type { Server as HttpsServer } from "node:https";
import { DeadpeerError } from "../../errors.js";
import { durationMs } from "../../plan/duration.js";
import { findMiddlebox } from "../../plan/middleboxes.js";
import { adviseServer, type Front, hintOf, type HttpServerSettings, type TuneWarning } from "./advice.js";

/** A server of HTTP/1, or of HTTP/2 that also takes HTTP/1 (`allowHTTP1`). */
export type TunableServer = HttpServer | HttpsServer | Http2SecureServer;

export interface TuneOptions {
  /** What stands before the server: a name of the catalogue (`deadpeer plan --list paths`), or a proxy by how long it keeps
   * idle connections: `"60s"`, `{ idleMs: 60000 }`. */
  readonly behind: string | { readonly idleMs: string | number };
}

/** What was done to a server. */
export interface TunedServer {
  readonly before: HttpServerSettings;
  readonly settings: HttpServerSettings;
  /** The Keep-Alive header of its answers from now on; null: none. */
  readonly hint: string | null;
  /** What contradicts or is not as good as it could be; each with a stable code. */
  readonly warnings: readonly TuneWarning[];
  /** Gives the server the settings back that it had. Connections that are idle by then keep to the newer ones until they are used. */
  undo(): void;
}

/** What Node's servers keep of it, under the names that they have there. */
interface ServerFields {
  keepAliveTimeout?: number;
  keepAliveTimeoutBuffer?: number;
  headersTimeout?: number;
  requestTimeout?: number;
  connectionsCheckingInterval?: number;
  timeout?: number;
  maxRequestsPerSocket?: number | null;
  listening: boolean;
}

/**
 * Sets a Node server's timeouts for what stands before it, so that the proxy is always the first to close an idle connection, and never
 * meets the server's end of one with a request (502 at the client's). Takes effect on connections with their next answer; best called
 * before `listen()`, for Node takes connectionsCheckingInterval only then.
 *
 * Settings that are safe already are left as they are, and a limit that is off (0) stays off, with a warning.
 *
 * @throws DeadpeerError `unknown-path`, `bad-duration`; `bad-option` for what is no server of HTTP/1.
 * @example
 * const { hint, warnings } = tuneHttpServer(server, { behind: "aws-alb" });
 * hint; // "timeout=65"
 */
export function tuneHttpServer(server: TunableServer, { behind }: TuneOptions): TunedServer {
  const fields = server as unknown as ServerFields;
  if (typeof fields.headersTimeout !== "number" || typeof fields.requestTimeout !== "number")
    throw new DeadpeerError(
      "bad-option",
      "tuneHttpServer: this is no server of HTTP/1; give one of node:http or node:https, or of node:http2 with allowHTTP1, for HTTP/2 alone has no keep-alive",
    );
  const requestsPerSocket = fields.maxRequestsPerSocket ?? 0;
  const before = settingsOf(fields);
  const { settings, warnings } = adviseServer(
    {
      settings: before,
      timeoutMs: fields.timeout ?? 0,
      requestsPerSocket,
      listening: fields.listening,
    },
    frontOf(behind),
  );
  apply(fields, settings);
  return {
    before,
    settings,
    hint: hintOf(settings, requestsPerSocket),
    warnings,
    undo: () => apply(fields, before),
  };
}

function frontOf(behind: TuneOptions["behind"]): Front {
  // In the catalogue a bare time is a box that forgets; whoever puts a server behind one means a proxy.
  if (typeof behind === "string" && !/^\s*[-\d]/.test(behind)) return findMiddlebox(behind);
  const given = typeof behind === "object" && behind !== null ? behind.idleMs : behind;
  const idleMs = durationMs(given, "behind");
  if (idleMs === 0)
    throw new DeadpeerError(
      "bad-option",
      "behind: a proxy with an idle time of 0 keeps no connection to a server",
    );
  return { name: "The proxy", idleMs, terminates: true };
}

function settingsOf(fields: ServerFields): HttpServerSettings {
  const { keepAliveTimeoutBuffer, connectionsCheckingInterval } = fields;
  return {
    // A server of node:http2 has none until it is set.
    keepAliveTimeoutMs: fields.keepAliveTimeout ?? 0,
    ...(keepAliveTimeoutBuffer === undefined ? {} : { keepAliveTimeoutBufferMs: keepAliveTimeoutBuffer }),
    headersTimeoutMs: fields.headersTimeout ?? 0,
    requestTimeoutMs: fields.requestTimeout ?? 0,
    ...(connectionsCheckingInterval === undefined
      ? {}
      : { connectionsCheckingIntervalMs: connectionsCheckingInterval }),
  };
}

function apply(fields: ServerFields, settings: HttpServerSettings): void {
  const { keepAliveTimeoutBufferMs, connectionsCheckingIntervalMs } = settings;
  fields.keepAliveTimeout = settings.keepAliveTimeoutMs;
  fields.headersTimeout = settings.headersTimeoutMs;
  fields.requestTimeout = settings.requestTimeoutMs;
  if (keepAliveTimeoutBufferMs !== undefined) fields.keepAliveTimeoutBuffer = keepAliveTimeoutBufferMs;
  if (connectionsCheckingIntervalMs !== undefined)
    fields.connectionsCheckingInterval = connectionsCheckingIntervalMs;
}
