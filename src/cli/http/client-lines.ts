import type { SafeSettings } from "../../http/measure/safe-settings.js";

/**
 * What to set in clients and proxies of a server, each in its own words and units; empty where nothing has to be.
 *
 * @example settingsLines({ clientIdleMs: 4_000, requestsPerConnection: null }).nginx // "upstream: keepalive_timeout 4s;"
 */
export function settingsLines({ clientIdleMs, requestsPerConnection }: SafeSettings): Record<string, string> {
  if (clientIdleMs === 0)
    return {
      undici: "new Agent({ pipelining: 0 })",
      node: "new http.Agent({ keepAlive: false })",
      haproxy: "http-reuse never",
    };
  const [idle, requests] = [idleSettings(clientIdleMs), requestsSettings(requestsPerConnection)];
  return Object.fromEntries(
    Object.entries(clients).flatMap(([client, line]) => {
      const settings = [...(idle[client] ?? []), ...(requests[client] ?? [])];
      return settings.length === 0 ? [] : [[client, line(settings)]];
    }),
  );
}

type Settings = Readonly<Record<string, readonly string[]>>;

/** How each puts its settings together. */
const clients: Readonly<Record<string, (settings: readonly string[]) => string>> = {
  undici: (settings) => `new Agent({ ${settings.join(", ")} })`,
  agentkeepalive: (settings) => `new Agent({ ${settings.join(", ")} })`,
  nginx: (settings) => `upstream: ${settings.join(" ")}`,
  envoy: (settings) => `common_http_protocol_options: { ${settings.join(", ")} }`,
  go: (settings) => `http.Transport{${settings.join(", ")}}`,
};

function idleSettings(ms: number | null): Settings {
  if (ms === null) return {};
  const seconds = Math.floor(ms / 1_000);
  return {
    // The threshold is taken off the server's hint; the maximum bounds a hint that is too long.
    undici: [`keepAliveTimeout: ${ms}`, `keepAliveMaxTimeout: ${ms}`],
    agentkeepalive: [`freeSocketTimeout: ${ms}`],
    // nginx takes milliseconds too.
    nginx: [`keepalive_timeout ${seconds >= 1 ? `${seconds}s` : `${ms}ms`};`],
    envoy: [`idle_timeout: ${ms / 1_000}s`],
    go: [`IdleConnTimeout: ${ms} * time.Millisecond`],
  };
}

function requestsSettings(most: number | null): Settings {
  if (most === null) return {};
  return {
    // undici sends as many, and one more that says "Connection: close".
    undici: [`maxRequestsPerClient: ${Math.max(1, most - 1)}`],
    nginx: [`keepalive_requests ${most};`],
    envoy: [`max_requests_per_connection: ${most}`],
  };
}
