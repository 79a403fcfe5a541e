import type { Metric, Registry } from "prom-client";
import { DeadpeerError } from "../../errors.js";
import type { Governor } from "./governor.js";

export interface GovernorMetricsOptions {
  /** The caller's; metrics of several governors go into one under different `server` labels. */
  readonly registry: Registry;
  /** What the label `server` says. Default: `default`. */
  readonly server?: string;
}

/** A registry's governors by label, and one of the metrics that show them; a registry that was cleared has it no more. */
interface Registered {
  readonly governors: Map<string, Governor>;
  readonly metrics: Promise<Metric>;
}

const registered = new WeakMap<Registry, Registered>();
const names = {
  connections: "deadpeer_connections",
  clients: "deadpeer_connection_clients",
  draining: "deadpeer_server_draining",
  accepted: "deadpeer_connections_accepted_total",
  refused: "deadpeer_connections_refused_total",
  evicted: "deadpeer_connections_evicted_total",
} as const;

/**
 * Puts a governor's figures into a registry of prom-client's, read when it is scraped: `deadpeer_connections`,
 * `deadpeer_connection_clients`, `deadpeer_server_draining`, `deadpeer_connections_accepted_total`,
 * `deadpeer_connections_refused_total` and `deadpeer_connections_evicted_total`, the last two by `reason`.
 *
 * @returns what takes this governor's figures out again.
 * @throws DeadpeerError `bad-option`: another governor has this label, or somebody else one of these metrics.
 * @example
 * const registry = new Registry();
 * await governorMetrics(governor, { registry, server: "api" });
 * response.end(await registry.metrics());
 */
export async function governorMetrics(
  governor: Governor,
  options: GovernorMetricsOptions,
): Promise<() => void> {
  const { registry, server = "default" } = options ?? {};
  if (typeof registry?.getSingleMetric !== "function")
    throw new DeadpeerError("bad-option", "registry: give a Registry of prom-client, such as its `register`");
  const governors = await governorsIn(registry);
  const known = governors.get(server);
  if (known !== undefined && known !== governor && !known.closed)
    throw new DeadpeerError(
      "bad-option",
      `server: another governor's figures are in this registry as "${server}"; give each a label of its own`,
    );
  governors.set(server, governor);
  return () => {
    if (governors.get(server) === governor) governors.delete(server);
  };
}

async function governorsIn(registry: Registry): Promise<Map<string, Governor>> {
  const known = registered.get(registry);
  if (known !== undefined) {
    const metric = await known.metrics;
    if (registry.getSingleMetric(names.connections) === metric) return known.governors;
    // Cleared; somebody else may have come here first.
    if (registered.get(registry) !== known) return governorsIn(registry);
  }
  const governors = new Map<string, Governor>();
  const metrics = register(registry, governors);
  registered.set(registry, { governors, metrics });
  try {
    await metrics;
  } catch (error) {
    registered.delete(registry);
    throw error;
  }
  return governors;
}

async function register(registry: Registry, governors: ReadonlyMap<string, Governor>): Promise<Metric> {
  // Programs without metrics do not load it.
  const { Counter, Gauge } = await import("prom-client");
  for (const name of Object.values(names))
    if (registry.getSingleMetric(name) !== undefined)
      throw new DeadpeerError(
        "bad-option",
        `registry: it has a metric named ${name} already, of somebody else's`,
      );
  const registers = [registry];
  const gauge = (name: string, help: string, read: (governor: Governor) => number | null): Metric => {
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
    return metric;
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
  const connections = gauge(names.connections, "Connections that are held", ({ size }) => size);
  gauge(
    names.clients,
    "Clients with a connection, where clients are counted",
    (governor) => governor.snapshot().clients,
  );
  gauge(names.draining, "1 while the server is let go", ({ draining }) => (draining ? 1 : 0));
  counter(names.accepted, "Connections that were taken", (governor) => ({
    "": governor.snapshot().accepted,
  }));
  counter(
    names.refused,
    "Connections, or requests of one client too many, that were not taken",
    (governor) => governor.snapshot().refused,
  );
  counter(names.evicted, "Connections that were ended by policy", (governor) => governor.snapshot().evicted);
  return connections;
}
