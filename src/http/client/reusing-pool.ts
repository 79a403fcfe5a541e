import { type Dispatcher, Pool } from "undici";
import { ReusingClient } from "./reusing-client.js";

/** Tells the agent's listeners, and only them. */
export type Announce = (
  event: "connect" | "disconnect",
  origin: URL,
  targets: readonly Dispatcher[],
  error?: Error,
) => void;

type Happened = readonly [origin: URL, targets: readonly Dispatcher[], error?: Error];

/**
 * A pool that outlives the exchange of its only connection. undici's agent counts the connections of a pool and closes it when there are
 * none left: a request that goes from an old connection to a new one would find itself in a closed pool, and the next one would need
 * yet another connection. So the agent does not hear of an end that a new connection follows; its listeners do.
 */
export class ReusingPool extends Pool {
  readonly #announce: Announce;
  readonly #ended = new Map<Dispatcher, Happened>();

  constructor(origin: string | URL, options: Pool.Options, announce: Announce) {
    super(origin, options);
    this.#announce = announce;
  }

  override emit(event: string, ...happened: readonly unknown[]): boolean {
    // For every request there is a 'drain'; nothing is held back then, as a rule.
    if (event !== "disconnect" && this.#ended.size === 0) return this.#pass(event, happened);
    const [, targets] = happened as unknown as Happened;
    const client = targets?.at(-1);
    if (!(client instanceof ReusingClient)) return this.#pass(event, happened);
    const before = this.#ended.get(client);
    this.#ended.delete(client);
    if (event === "disconnect" && client.stats.pending > 0) {
      this.#ended.set(client, happened as unknown as Happened);
      return true;
    }
    if (before === undefined) return this.#pass(event, happened);
    if (event !== "connect") {
      this.#pass("disconnect", before);
      return this.#pass(event, happened);
    }
    this.#tell("disconnect", before);
    this.#tell("connect", happened as unknown as Happened);
    return true;
  }

  #pass(event: string, happened: readonly unknown[]): boolean {
    return super.emit(event as "drain", ...(happened as [URL]));
  }

  #tell(event: "connect" | "disconnect", [origin, targets, error]: Happened): void {
    this.#announce(event, origin, targets, error);
  }
}
