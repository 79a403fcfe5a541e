import type { Held } from "./held.js";

/** Why a new connection is not taken. */
export type LimitReason = "total" | "per-client" | "rate";

/** How many connections there may be; null: as many as come. */
export interface CountLimits {
  readonly total: number | null;
  readonly perClient: number | null;
  /** New ones of a client: `count` at once, and from then on as many within `withinMs`. */
  readonly newPerClient: { readonly count: number; readonly withinMs: number } | null;
}

/** One client, for as long as it has connections or its allowance of new ones is not full again. */
export interface Client {
  readonly key: string;
  count: number;
  /** Its connections, youngest first. */
  first: Held | null;
  /** What is left of its allowance, as of `filledMs`. */
  tokens: number;
  filledMs: number;
}

/**
 * So many clients without a connection, and twice that for a moment, are remembered for their allowance: a flood from many addresses
 * does not fill the memory.
 */
const mostDormant = 50_000;
const leastSweep = 1_024;

/** Counts connections by client, and says whether there may be one more. Pure: the caller says what time it is. */
export class Clients {
  readonly #limits: CountLimits;
  readonly #known = new Map<string, Client>();
  /** Without a connection, the longest so first. */
  readonly #dormant = new Map<string, Client>();
  #sweepAt = leastSweep;
  #total = 0;

  constructor(limits: CountLimits) {
    this.#limits = limits;
  }

  /** Connections that count. */
  get total(): number {
    return this.#total;
  }

  /** Clients with a connection. */
  get size(): number {
    return this.#known.size;
  }

  /** Whether clients are told apart at all. */
  get counting(): boolean {
    return this.#limits.perClient !== null || this.#limits.newPerClient !== null;
  }

  client(key: string): Client | undefined {
    return this.#known.get(key);
  }

  clients(): Iterable<Client> {
    return this.#known.values();
  }

  /** Whether a client may have one more connection; null: it may. Takes from its allowance, also for what is then refused. */
  ask(key: string | null, nowMs: number): LimitReason | null {
    const { total } = this.#limits;
    const ofClient = key === null ? null : this.askFor(key, nowMs);
    if (ofClient !== null) return ofClient;
    return total !== null && this.#total >= total ? "total" : null;
  }

  /** The same for a connection that is counted already, and turns out to be this client's. */
  askFor(key: string, nowMs: number): "per-client" | "rate" | null {
    const { perClient } = this.#limits;
    if (!this.#allowed(key, nowMs)) return "rate";
    return perClient !== null && (this.#known.get(key)?.count ?? 0) >= perClient ? "per-client" : null;
  }

  /** @param key null: whose it is will be known later, if ever. */
  enter(held: Held, key: string | null, nowMs: number): void {
    this.#total++;
    if (key !== null) this.assign(held, key, nowMs);
  }

  leave(held: Held, nowMs: number): void {
    this.#total--;
    this.part(held, nowMs);
  }

  /** From now on it is this client's. */
  assign(held: Held, key: string, nowMs: number): void {
    if (!this.counting) return;
    const client = this.#known.get(key) ?? this.#wake(key, nowMs);
    client.count++;
    held.client = client;
    held.behind = client.first;
    if (client.first !== null) client.first.before = held;
    client.first = held;
  }

  /** It is nobody's. */
  part(held: Held, nowMs: number): void {
    const { client, before, behind } = held;
    if (client === null) return;
    if (before === null) client.first = behind;
    else before.behind = behind;
    if (behind !== null) behind.before = before;
    held.client = held.before = held.behind = null;
    if (--client.count > 0) return;
    this.#known.delete(client.key);
    this.#rest(client, nowMs);
  }

  #allowed(key: string, nowMs: number): boolean {
    const rate = this.#limits.newPerClient;
    if (rate === null) return true;
    const client = this.#known.get(key) ?? this.#dormant.get(key) ?? this.#newcomer(key, nowMs);
    this.#fill(client, nowMs);
    if (client.tokens < 1) return false;
    client.tokens--;
    return true;
  }

  /** Somebody who asks; remembered, whether or not he gets in. */
  #newcomer(key: string, nowMs: number): Client {
    const client = newClient(key, this.#limits, nowMs);
    this.#remember(client, nowMs);
    return client;
  }

  #wake(key: string, nowMs: number): Client {
    const client = this.#dormant.get(key) ?? newClient(key, this.#limits, nowMs);
    this.#dormant.delete(key);
    this.#known.set(key, client);
    return client;
  }

  #rest(client: Client, nowMs: number): void {
    if (this.#limits.newPerClient !== null) this.#remember(client, nowMs);
  }

  #remember(client: Client, nowMs: number): void {
    this.#dormant.set(client.key, client);
    if (this.#dormant.size >= this.#sweepAt) this.#sweep(nowMs);
  }

  /** Whoever's allowance is full again is like anybody else. In one go now and then: a Map gives up its first entry slowly. */
  #sweep(nowMs: number): void {
    const { count } = this.#limits.newPerClient ?? { count: 0 };
    let surplus = this.#dormant.size - mostDormant;
    for (const [key, client] of this.#dormant) {
      this.#fill(client, nowMs);
      if (client.tokens < count && surplus <= 0) continue;
      this.#dormant.delete(key);
      surplus--;
    }
    this.#sweepAt = Math.max(leastSweep, this.#dormant.size * 2);
  }

  /** A token bucket: it fills evenly, up to `count`. */
  #fill(client: Client, nowMs: number): void {
    const rate = this.#limits.newPerClient;
    if (rate === null) return;
    const gained = ((nowMs - client.filledMs) * rate.count) / rate.withinMs;
    client.tokens = Math.min(rate.count, client.tokens + gained);
    client.filledMs = nowMs;
  }
}

function newClient(key: string, { newPerClient }: CountLimits, nowMs: number): Client {
  return { key, count: 0, first: null, tokens: newPerClient?.count ?? 0, filledMs: nowMs };
}
