import { setMaxListeners } from "node:events";
import type { Address } from "../../client/nat/target.js";
import { DeadpeerError } from "../../errors.js";
import { type ConnectionHeaderFound, tryConnectionHeader } from "./connection-header.js";
import { type FirstLook, lookBehindRedirects, lookFirst } from "./first-look.js";
import { type IdleFound, IdleMeasurement } from "./idle.js";
import { countRequests, type RequestsFound } from "./requests.js";
import { measureReuse, type ReuseCost } from "./reuse-cost.js";
import type { HttpTarget } from "./target.js";

export interface HttpMeasurementOptions {
  readonly target: HttpTarget;
  readonly method: "GET" | "HEAD";
  readonly headers: readonly (readonly [string, string])[];
  /** null: whichever the resolver prefers and can be connected to. */
  readonly family: 4 | 6 | null;
  /** PEM; null: those that Node trusts. */
  readonly ca: string | null;
  readonly insecure: boolean;
  readonly http2: boolean;
  readonly follow: boolean;
  /** The longest that a connection is left idle. */
  readonly maxMs: number;
  /** Idle side by side, at least 2. */
  readonly connections: number;
  /** How many requests are tried on one connection; 0: none. */
  readonly requests: number;
  /** New connections for the comparison with reused ones. */
  readonly samples: number;
  /** null: a fiftieth of the time, but not below 100 ms. */
  readonly precisionMs: number | null;
  /** For how long a connection, and an answer, is waited for. */
  readonly patienceMs: number;
  /** Ends it early: what is known by then is the result. */
  readonly signal: AbortSignal;
}

/** What a measurement found. */
export interface HttpMeasured {
  readonly target: HttpTarget;
  readonly address: Address;
  readonly look: FirstLook;
  readonly maxMs: number;
  /** All null where the connection is not kept, or it ended before. */
  readonly idle: IdleFound | null;
  readonly requests: RequestsFound | null;
  readonly cost: ReuseCost | null;
  readonly connectionHeader: ConnectionHeaderFound | null;
  /** Why it ended before its time; null: it did not. */
  readonly problem: DeadpeerError | null;
}

/**
 * Measures a server's HTTP keep-alive: whether it keeps connections, for how long idle ones, for how many requests, and how it ends them.
 *
 * @example
 * const measured = await new HttpMeasurement({ target: readTarget("http://localhost/"), maxMs: 120_000, … }).run();
 * measured.idle?.lowMs;
 */
export class HttpMeasurement {
  readonly #options: HttpMeasurementOptions;
  /** Ends everything once one part has failed, or everything is known. */
  readonly #end = new AbortController();
  #problem: DeadpeerError | null = null;
  #idle: IdleMeasurement | null = null;

  constructor(options: HttpMeasurementOptions) {
    this.#options = options;
  }

  /** null: nothing lies idle yet, or any more. */
  get progress(): (IdleFound & { readonly waiting: number; readonly idleMs: number }) | null {
    return this.#idle === null ? null : { ...this.#idle.found, ...this.#idle.progress };
  }

  /**
   * @param begun told once the server has answered.
   * @param followed told of each redirect that is followed.
   * @throws DeadpeerError `cannot-connect`, `http-protocol`, `bad-option`, `aborted`. What happens later is the result's `problem`.
   */
  async run(
    begun: (look: FirstLook) => void = () => {},
    followed: (url: string) => void = () => {},
  ): Promise<HttpMeasured> {
    const { signal } = this.#options;
    // Each connection listens to it.
    setMaxListeners(0, this.#end.signal);
    const interrupted = (): void =>
      this.#fail(new DeadpeerError("aborted", "interrupted before it was done"));
    if (signal.aborted) interrupted();
    signal.addEventListener("abort", interrupted);
    try {
      const look = await this.#look(followed);
      begun(look);
      return await this.#measure(look);
    } finally {
      this.#end.abort(new DeadpeerError("aborted", "the measurement is over"));
      signal.removeEventListener("abort", interrupted);
    }
  }

  #look(followed: (url: string) => void): Promise<FirstLook> {
    const { family, follow, ...options } = this.#options;
    const shared = { ...options, signal: this.#end.signal };
    return follow ? lookBehindRedirects(shared, family, followed) : lookFirst(shared, family);
  }

  async #measure(look: FirstLook): Promise<HttpMeasured> {
    const { server } = look;
    const { maxMs, connections: lanes, precisionMs, requests: most, samples } = this.#options;
    const kept = look.whyNot === null;
    // Before the others, which would be in its way.
    const cost = kept && samples > 0 ? await this.#part(() => measureReuse(server, samples)) : null;
    const idle = kept ? new IdleMeasurement(server, { maxMs, lanes, precisionMs }) : null;
    this.#idle = idle;
    const [, requests, connectionHeader] = await Promise.all([
      idle === null ? null : this.#part(() => idle.run()),
      kept && most > 0 ? this.#part(() => countRequests(server, most, maxMs)) : null,
      look.protocol === "HTTP/2" ? null : this.#part(() => tryConnectionHeader(server)),
    ]);
    this.#idle = null;
    const { target, address } = server.options;
    return {
      target,
      address,
      look,
      maxMs,
      idle: idle?.found ?? null,
      requests,
      cost,
      connectionHeader,
      problem: this.#problem,
    };
  }

  /** What one part throws ends the others, and is the result's problem. */
  async #part<T>(work: () => Promise<T>): Promise<T | null> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof DeadpeerError)) throw error;
      this.#fail(error);
      return null;
    }
  }

  #fail(error: DeadpeerError): void {
    if (this.#end.signal.aborted) return;
    this.#problem = error;
    this.#end.abort(error);
  }
}
