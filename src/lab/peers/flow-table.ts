import type { Endpoint } from "./packet.js";

interface Flow {
  readonly inside: Endpoint;
  readonly outside: Endpoint;
}

/**
 * What a NAT remembers: which inside endpoint stands behind which of its ports. A full table makes room by forgetting the flow
 * that was used least recently.
 */
export class FlowTable {
  readonly #room: number;
  /** By the inside endpoint, the least recently used first: a Map keeps the order of insertion. */
  readonly #flows = new Map<string, Flow>();
  readonly #byPort = new Map<number, Flow>();
  #nextPort = 40_000;

  constructor(room: number) {
    this.#room = room;
  }

  /** The flow of an inside endpoint; null: not known. */
  inside(endpoint: Endpoint): Endpoint | null {
    return this.#use(this.#flows.get(keyOf(endpoint)))?.outside ?? null;
  }

  /** The inside endpoint behind a port; null: not known. */
  behind(port: number): Endpoint | null {
    return this.#use(this.#byPort.get(port))?.inside ?? null;
  }

  /** Remembers a new flow. */
  add(inside: Endpoint, outsideAddress: string): Endpoint {
    if (this.#flows.size >= this.#room) {
      const [oldest] = this.#flows.values();
      if (oldest !== undefined) this.#forget(oldest);
    }
    while (this.#byPort.has(this.#nextPort)) this.#nextPort++;
    const outside = { address: outsideAddress, port: this.#nextPort++ };
    const flow = { inside, outside };
    this.#flows.set(keyOf(inside), flow);
    this.#byPort.set(outside.port, flow);
    return outside;
  }

  #use(flow: Flow | undefined): Flow | undefined {
    if (flow === undefined) return undefined;
    const key = keyOf(flow.inside);
    this.#flows.delete(key);
    this.#flows.set(key, flow);
    return flow;
  }

  #forget(flow: Flow): void {
    this.#flows.delete(keyOf(flow.inside));
    this.#byPort.delete(flow.outside.port);
  }
}

function keyOf({ address, port }: Endpoint): string {
  return `${address} ${port}`;
}
