import type { Registry } from "prom-client";
import type { Governor } from "./governor.js";

export interface GovernorMetricsOptions {
  /** The caller's; metrics of several governors go into one under different `server` labels. */
  readonly registry: Registry;
  /** What the label `server` says. Default: `default`. */
  readonly server?: string;
}

/** The governors of each registry, by label. */
const registered = new WeakMap<Registry, Map<string, Governor>>();

/**
 * Puts a governor's figures into a registry of prom-client's, read when it is scraped: `deadpeer_connections`,
 * `deadpeer_connection_clients`, `deadpeer_server_draining`, `deadpeer_connections_accepted_total`,
 * `deadpeer_connections_refused_total` and `deadpeer_connections_evicted_total`, the last two by `reason`.
 *
 * @returns what takes this governor's figures out again.
 * @example
 * const registry = new Registry();
 * await governorMetrics(governor, { registry, server: "api" });
 * response.end(await registry.metrics());
 */
export async function governorMetrics(
  governor: Governor,
  { registry, server = "default" }: GovernorMetricsOptions,
): Promise<() => void> {
  let governors = registered.get(registry);
  if (governors === undefined) {
    governors = new Map();
    registered.set(registry, governors);
    await register(registry, governors);
  }
  governors.set(server, governor);
  return () => {
    if (governors.get(server) === governor) governors.delete(server);
  };
}

async function register(registry: Registry, governors: ReadonlyMap<string, Governor>): Promise<void> {
  // Programs without metrics do not load it.
  const { Counter, Gauge } = await import("prom-client");
  const registers = [registry];
  const gauge = (name: string, help: string, read: (governor: Governor) => number | null): void => {
    const metric = new Gauge({
      name,
      help,
      labelNames: ["server"],
      registers,
      collect() {
        metric.reset();
        for (const [server, governor] of governors) {
          const value = read(governor);
          if (value !== null) metric.set({ server }, value);
        }
      },
    });
  };
  const counter = (
    name: string,
    help: string,
    read: (governor: Governor) => Readonly<Record<string, number>>,
  ): void => {
    const metric = new Counter({
      name,
      help,
      labelNames: ["server", "reason"],
      registers,
      collect() {
        metric.reset();
        for (const [server, governor] of governors)
          for (const [reason, count] of Object.entries(read(governor)))
            metric.inc(reason === "" ? { server } : { server, reason }, count);
      },
    });
  };
  gauge("deadpeer_connections", "Connections that are held", ({ size }) => size);
  gauge(
    "deadpeer_connection_clients",
    "Clients with a connection, where clients are counted",
    (governor) => governor.snapshot().clients,
  );
  gauge("deadpeer_server_draining", "1 while the server is let go", ({ draining }) => (draining ? 1 : 0));
  counter("deadpeer_connections_accepted_total", "Connections that were taken", (governor) => ({
    "": governor.snapshot().accepted,
  }));
  counter(
    "deadpeer_connections_refused_total",
    "Connections, or requests of one client too many, that were not taken",
    (governor) => governor.snapshot().refused,
  );
  counter(
    "deadpeer_connections_evicted_total",
    "Connections that were ended by policy",
    (governor) => governor.snapshot().evicted,
  );
}
