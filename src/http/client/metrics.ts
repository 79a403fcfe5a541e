import { Counter, type Registry } from "prom-client";
import { ReuseCount, type ReuseFigures } from "./figures.js";

const counters = {
  connections: { help: "Connections made.", of: (figures: ReuseFigures) => figures.new },
  reused: {
    help: "Requests sent on a connection that had served another one.",
    of: (figures: ReuseFigures) => figures.reused,
  },
  expired: {
    help: "Idle connections that a request found too old to be used again.",
    of: (figures: ReuseFigures) => figures.expired,
  },
  stale: {
    help: "Reused connections that the server ended before any byte of an answer.",
    of: (figures: ReuseFigures) => figures.stale,
  },
  replayed: {
    help: "Requests sent again because their reused connection had been ended.",
    of: (figures: ReuseFigures) => figures.replayed,
  },
  handshake_seconds_saved: {
    help: "What as many new connections as were reused would have taken.",
    of: (figures: ReuseFigures) => figures.handshakeMsSaved / 1_000,
  },
} as const;

/** Clients of one name: those that live, and the sum of those that were closed. */
interface Namesakes {
  readonly living: Set<ReuseFigures>;
  readonly past: ReuseCount;
}

/** Of each registry the clients whose figures it shows, by name. A registry has each metric once, however many clients there are. */
const shown = new WeakMap<Registry, Map<string, Namesakes>>();

/**
 * Shows a client's figures in the caller's registry, as `deadpeer_http_client_…_total{client="name"}`. They are read when the registry is:
 * a request costs nothing more. Clients of the same name are added up.
 *
 * @returns what lets go of the client; what it has counted stays.
 */
export function showFigures(registry: Registry, name: string, figures: ReuseFigures): () => void {
  let clients = shown.get(registry);
  if (clients === undefined) {
    clients = new Map();
    shown.set(registry, clients);
    register(registry, clients);
  }
  const namesakes = clients.get(name) ?? { living: new Set(), past: new ReuseCount() };
  clients.set(name, namesakes);
  namesakes.living.add(figures);
  return () => {
    if (namesakes.living.delete(figures)) namesakes.past.add(figures);
  };
}

function register(registry: Registry, clients: ReadonlyMap<string, Namesakes>): void {
  for (const [metric, { help, of }] of Object.entries(counters)) {
    const counter = new Counter({
      name: `deadpeer_http_client_${metric}_total`,
      help,
      labelNames: ["client"],
      registers: [],
      collect() {
        this.reset();
        for (const [client, { living, past }] of clients) {
          let sum = of(past);
          for (const figures of living) sum += of(figures);
          this.inc({ client }, sum);
        }
      },
    });
    registry.registerMetric(counter);
  }
}
