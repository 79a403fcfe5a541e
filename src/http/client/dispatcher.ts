import { Agent, type errors, type Pool } from "undici";
import type { ReuseFigures } from "./figures.js";
import { ReuseCount } from "./figures.js";
import { showFigures } from "./metrics.js";
import { type KeepAliveOptions, keepAliveSettings, splitOptions } from "./options.js";
import { Origins } from "./origin.js";
import { type ClientOptions, ReusingClient, type Shared } from "./reusing-client.js";
import { type Announce, ReusingPool } from "./reusing-pool.js";

/** deadpeer's options, and all that undici's Agent takes but its own of keep-alive. */
export type DispatcherOptions = KeepAliveOptions &
  Omit<
    Agent.Options,
    "factory" | "keepAliveTimeout" | "keepAliveMaxTimeout" | "keepAliveTimeoutThreshold" | "clientTtl"
  >;

/** An undici Agent whose connections are used again only while their server keeps them; made by `createDispatcher`. */
export class KeepAliveDispatcher extends Agent {
  readonly #count: ReuseCount;
  readonly #release: () => void;

  constructor(options: DispatcherOptions) {
    const { own, rest } = splitOptions(options);
    const settings = keepAliveSettings(own);
    const count = new ReuseCount();
    const origins = new Origins(settings);
    const shared: Shared = {
      settings,
      count,
      dispatch: (request, attempt) => void this.dispatch(request, attempt),
    };
    const announce: Announce = (event, origin, targets, error) =>
      this.emit(event as "disconnect", origin, [this, ...targets], error as errors.UndiciError);
    const client: Pool.Options["factory"] = (url: URL, given: object) =>
      new ReusingClient(origins.of(url.origin), given as ClientOptions, shared);
    super({
      ...rest,
      factory: (url: string | URL, given: object) =>
        new ReusingPool(url, { ...given, factory: client }, announce),
    });
    this.#count = count;
    this.#release =
      own.registry === undefined ? () => {} : showFigures(own.registry, own.name ?? "default", count);
  }

  /** How connections were used so far. */
  get figures(): ReuseFigures {
    return this.#count.snapshot();
  }

  override destroy(): Promise<void>;
  override destroy(error: Error | null): Promise<void>;
  override destroy(callback: () => void): void;
  override destroy(error: Error | null, callback: () => void): void;
  // undici's close() ends here as well.
  override destroy(...given: readonly unknown[]): Promise<void> | void {
    this.#release();
    return super.destroy(...(given as [Error | null]));
  }
}

/**
 * A dispatcher for undici and fetch() that the keep-alive race cannot hit: it uses a connection again only while its server keeps it,
 * and sends a request again, where that is safe, whose connection the server had closed all the same.
 *
 * - An idle connection is used no longer than the server's Keep-Alive hint, or the measured time if that is shorter, less a round trip.
 * - A request on a reused connection that was closed before any byte of the answer goes over a new one, if its method is idempotent (RFC
 *   9110, 9.2.2) or it bears an Idempotency-Key, and its body can be sent again: text, bytes, a Blob, a function that makes it, and what
 *   fetch() was given up to 64 KiB. A stream never is.
 * - Each connection is guarded, so that a dead server is noticed.
 *
 * Everything else is undici's: options, streams, aborts, trailers, upgrades, HTTP/2.
 *
 * @throws DeadpeerError `bad-option`, `bad-duration`; what planDetection throws.
 * @example
 * const dispatcher = createDispatcher({ idleMs: { "https://api.example.com": 4900 } });
 * await fetch("https://api.example.com/", { dispatcher });
 */
export function createDispatcher(options: DispatcherOptions = {}): KeepAliveDispatcher {
  return new KeepAliveDispatcher(options);
}
