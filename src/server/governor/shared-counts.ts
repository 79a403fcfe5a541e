import { Clients, type CountLimits, type LimitReason } from "./clients.js";

/** What one worker holds of a server's connections. */
interface Share {
  total: number;
  readonly clients: Map<string, number>;
}

/** The connections of one server over all of a cluster's workers. Pure: the caller says what time it is. */
export class SharedCounts {
  #limits: CountLimits = { total: null, perClient: null, newPerClient: null };
  /** Looks at the rate of new connections alone: who holds what is counted here, by worker. */
  #rates = new Clients(this.#limits);
  readonly #shares = new Map<number, Share>();
  readonly #clients = new Map<string, number>();
  #total = 0;

  get total(): number {
    return this.#total;
  }

  /** Clients with a connection. */
  get size(): number {
    return this.#clients.size;
  }

  countOf(key: string): number {
    return this.#clients.get(key) ?? 0;
  }

  /** Holds for what comes from now on; those who are in stay. */
  set limits(limits: CountLimits) {
    const { newPerClient } = limits;
    const known = this.#limits.newPerClient;
    this.#limits = limits;
    if (known?.count === newPerClient?.count && known?.withinMs === newPerClient?.withinMs) return;
    this.#rates = new Clients({ total: null, perClient: null, newPerClient });
  }

  /** Counts one more connection of a client, unless a limit is reached; null: it is counted. */
  ask(worker: number, key: string, nowMs: number): LimitReason | null {
    const { total, perClient } = this.#limits;
    if (this.#rates.ask(key, nowMs) === "rate") return "rate";
    if (perClient !== null && this.countOf(key) >= perClient) return "per-client";
    if (total !== null && this.#total >= total) return "total";
    this.add(worker, key, 1);
    return null;
  }

  /** Counts connections that a worker has taken already. */
  add(worker: number, key: string, count: number): void {
    const share = this.#shares.get(worker) ?? { total: 0, clients: new Map<string, number>() };
    this.#shares.set(worker, share);
    share.total += count;
    this.#total += count;
    share.clients.set(key, (share.clients.get(key) ?? 0) + count);
    this.#clients.set(key, this.countOf(key) + count);
  }

  /** Gives connections of a client back. More than the worker holds is not believed. */
  give(worker: number, key: string, count: number): void {
    const share = this.#shares.get(worker);
    const held = share?.clients.get(key) ?? 0;
    if (share === undefined || held === 0) return;
    const given = Math.min(held, count);
    share.total -= given;
    this.#total -= given;
    lower(share.clients, key, given);
    lower(this.#clients, key, given);
    if (share.total === 0) this.#shares.delete(worker);
  }

  /** A worker holds nothing any more. */
  drop(worker: number): void {
    const share = this.#shares.get(worker);
    if (share === undefined) return;
    this.#total -= share.total;
    for (const [key, count] of share.clients) lower(this.#clients, key, count);
    this.#shares.delete(worker);
  }

  /**
   * Who else could make room.
   *
   * @param key a client whose connection it has to be; null: anybody's.
   * @returns the worker that holds most; null: nobody else holds any.
   */
  mostHolding(besides: number, key: string | null): number | null {
    let found: number | null = null;
    let most = 0;
    for (const [worker, share] of this.#shares) {
      const count = key === null ? share.total : (share.clients.get(key) ?? 0);
      if (worker === besides || count <= most) continue;
      found = worker;
      most = count;
    }
    return found;
  }
}

function lower(counts: Map<string, number>, key: string, by: number): void {
  const left = (counts.get(key) ?? 0) - by;
  if (left > 0) counts.set(key, left);
  else counts.delete(key);
}
