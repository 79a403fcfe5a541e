import type { SafeSettings } from "../../http/measure/safe-settings.js";

/**
 * What to set in clients and proxies of a server, each in its own words and units; empty where nothing has to be.
 *
 * @example settingsLines({ clientIdleMs: 4_000, requestsPerConnection: null }).nginx // "keepalive_timeout 4s;"
 */
export function settingsLines({ clientIdleMs, requestsPerConnection }: SafeSettings): Record<string, string> {
  if (clientIdleMs === null) return {};
  if (clientIdleMs === 0)
    return {
      undici: "new Agent({ pipelining: 0 })",
      node: "new http.Agent({ keepAlive: false })",
      haproxy: "http-reuse never",
    };
  const seconds = Math.floor(clientIdleMs / 1_000);
  // nginx takes milliseconds too.
  const nginx = seconds >= 1 ? `${seconds}s` : `${clientIdleMs}ms`;
  const requests = requestsPerConnection === null ? "" : ` keepalive_requests ${requestsPerConnection};`;
  return {
    // The threshold is taken off the server's hint; the maximum bounds a hint that is too long.
    undici: `new Agent({ keepAliveTimeout: ${clientIdleMs}, keepAliveMaxTimeout: ${clientIdleMs} })`,
    agentkeepalive: `new Agent({ freeSocketTimeout: ${clientIdleMs} })`,
    nginx: `upstream: keepalive_timeout ${nginx};${requests}`,
    envoy: `common_http_protocol_options: { idle_timeout: ${clientIdleMs / 1_000}s${requestsPerConnection === null ? "" : `, max_requests_per_connection: ${requestsPerConnection}`} }`,
    go: `http.Transport{IdleConnTimeout: ${clientIdleMs} * time.Millisecond}`,
  };
}
