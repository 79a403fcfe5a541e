import { setMaxListeners } from "node:events";
import { DeadpeerError } from "../../errors.js";
import { systemClock } from "../../kernel/clock.js";
import { libc } from "../../kernel/libc.js";
import { Control } from "./control.js";
import { Exploration, type Progress, type Trial } from "./exploration.js";
import { Lane } from "./lane.js";
import { type Directions, together } from "./search/memory.js";
import { isProxied } from "./proxy.js";
import { Search } from "./search/search.js";
import { type Address, addressesOf, type HostPort } from "./target.js";
import { asking, listening, patienceMs, probing, type Voice } from "./voices.js";
import { wait } from "./wait.js";

export interface MeasurementOptions {
  readonly target: HostPort;
  /** null: whichever the resolver prefers and can be connected to. */
  readonly family: 4 | 6 | null;
  /** The longest silence that is tried, from 2 s on. */
  readonly maxMs: number;
  /** Connections side by side, at least 2; twice as many with an echo server. */
  readonly connections: number;
  /** How narrow the bracket has to be; null: a twentieth of the time, but not less than a second. */
  readonly precisionMs: number | null;
  /** Ends it early: what is known by then is the result. */
  readonly signal: AbortSignal;
}

/** The server, and what lies between. */
export interface Server {
  readonly address: Address;
  readonly addresses: number;
  /** It is deadpeer's: it speaks when it is told to, and never closes. */
  readonly isEcho: boolean;
  /** Where our connections come from in its eyes; null where that is where they do, or nobody tells. */
  readonly seenAs: { readonly address: string; readonly port: number } | null;
  /** Something between ends the TCP connection and makes another one; null: not known. */
  readonly proxied: boolean | null;
}

export interface Measured {
  readonly server: Server;
  readonly directions: Directions;
  /** Why it ended before its time; null: it did not. */
  readonly problem: DeadpeerError | null;
}

/**
 * Measures how long a path remembers a connection that is idle: leaves connections silent for times of different lengths, side by
 * side, then speaks, and sees which are still answered.
 *
 * @example
 * const measurement = new Measurement({ target: { host: "example", port: 443 }, family: null, maxMs: 600_000, connections: 16, precisionMs: null, signal });
 * together((await measurement.run()).directions).survivedMs;
 */
export class Measurement {
  readonly #options: MeasurementOptions;
  /** Ends everything once the path has failed, or everything is known. */
  readonly #end = new AbortController();
  #problem: DeadpeerError | null = null;
  #explorations: readonly Exploration[] = [];
  #proxied: boolean | null = null;

  constructor(options: MeasurementOptions) {
    this.#options = options;
  }

  /** Of both directions; null: it has not begun, for nobody has answered yet. */
  get progress(): Progress | null {
    const [client, server] = this.#explorations.map(({ progress }) => progress);
    if (client === undefined || server === undefined) return client ?? null;
    return {
      bracket: together({ client: client.bracket, server: server.bracket }),
      waiting: client.waiting + server.waiting,
      remainingMs: Math.max(client.remainingMs, server.remainingMs),
    };
  }

  /**
   * @param begun told once the server is known.
   * @throws DeadpeerError `cannot-connect`, `bad-option`, `aborted`, `ffi-unavailable`, `platform-unsupported`. What happens later
   *   is the result's `problem`.
   */
  async run(begun: (server: Server) => void = () => {}): Promise<Measured> {
    // What an answer is only the kernel knows.
    libc();
    // Each connection listens to it.
    setMaxListeners(0, this.#end.signal);
    const { target, family, signal } = this.#options;
    const interrupted = (): void =>
      this.#fail(new DeadpeerError("aborted", "interrupted before it was done"));
    if (signal.aborted) interrupted();
    signal.addEventListener("abort", interrupted);
    try {
      const addresses = await addressesOf(target, family, this.#end.signal);
      const control = await Control.open(addresses, {
        signal: this.#end.signal,
        fail: (error) => this.#fail(error),
      });
      const describe = (): Server => describeServer(control, addresses.length, this.#proxied);
      begun(describe());
      const directions = await this.#explore(control).finally(() => control.close());
      return { server: describe(), directions, problem: this.#problem };
    } finally {
      this.#end.abort(new DeadpeerError("aborted", "the measurement is over"));
      signal.removeEventListener("abort", interrupted);
    }
  }

  async #explore(control: Control): Promise<Directions> {
    const { maxMs, connections, precisionMs } = this.#options;
    const isEcho = control.greeting !== null;
    const search = (): Search => new Search({ maxMs, lanes: connections, precisionMs });
    const client = search();
    const server = isEcho ? search() : null;
    this.#explorations = [
      this.#exploration(client, isEcho ? asking : probing, control),
      ...(server === null ? [] : [this.#exploration(server, listening, control)]),
    ];
    const looking = isEcho ? this.#lookForProxy(control) : null;
    try {
      await Promise.all([looking, ...this.#explorations.map((one) => one.run())]);
    } catch (error) {
      if (!(error instanceof DeadpeerError)) throw error;
      this.#fail(error);
    }
    return { client: client.bracket, server: server?.bracket ?? null };
  }

  #exploration(search: Search, voice: Voice, control: Control): Exploration {
    return new Exploration({
      search,
      attempt: (silentMs) => this.#attempt(silentMs, search, voice, control),
      patienceMs: () => patienceMs(control),
      now: () => systemClock.monotonic(),
      rest: () => wait(1_000, this.#end.signal),
    });
  }

  async #attempt(silentMs: number, search: Search, voice: Voice, control: Control): Promise<Trial> {
    const { signal } = this.#end;
    const lane = await this.#openLane(control);
    if (lane === null) return { outcome: { kind: "void" }, stood: false };
    let outcome: Trial["outcome"] = { kind: "void" };
    try {
      const broken = await lane.beSilent(silentMs, () => search.wants(silentMs), signal);
      outcome = broken ?? (await voice(lane, control, signal));
      // A server that ends closes them all, this one's control connection too.
      if (outcome.kind === "interrupted" && lane.id !== null && (await control.ask("ping")) === null)
        outcome = { kind: "void" };
      return { outcome, stood: lane.connection.ended === null || outcome.kind !== "void" };
    } finally {
      lane.connection.close(outcome.kind === "lost");
      if (outcome.kind === "lost" && lane.id !== null && !signal.aborted)
        control.ask(`drop ${lane.id}`).catch(() => {});
    }
  }

  async #openLane(control: Control): Promise<Lane | null> {
    try {
      return await Lane.open(control.address, control.greeting?.id ?? null, this.#end.signal);
    } catch (error) {
      if (error instanceof DeadpeerError && error.code === "cannot-connect") return null;
      throw error;
    }
  }

  async #lookForProxy({ address }: Control): Promise<void> {
    try {
      this.#proxied = await isProxied(address, this.#end.signal);
    } catch (error) {
      if (!(error instanceof DeadpeerError)) throw error;
      // Whether it matters that this one failed, the others tell.
    }
  }

  #fail(error: DeadpeerError): void {
    if (this.#end.signal.aborted) return;
    this.#problem = error;
    this.#end.abort(error);
  }
}

function describeServer(control: Control, addresses: number, proxied: boolean | null): Server {
  const { greeting, address, seenAs } = control;
  return { address, addresses, isEcho: greeting !== null, seenAs, proxied };
}
