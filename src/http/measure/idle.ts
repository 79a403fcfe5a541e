import { wait } from "../../client/nat/wait.js";
import { DeadpeerError } from "../../errors.js";
import { systemClock } from "../../kernel/clock.js";
import { type IdleBracket, type IdleOutcome, IdleSearch, type IdleTrial } from "./idle-search.js";
import { pulse } from "./pulse.js";
import type { Server } from "./server.js";
import type { Wire, WireEnd } from "./wire.js";

/** What is known of a server's patience with idle connections. */
export interface IdleFound extends IdleBracket {
  /** What became of requests that were sent after the server had closed, as one does that crosses its FIN; null: none could be sent. */
  readonly afterClose: "reset" | "lost" | null;
  /** HTTP/2: each end was announced with a GOAWAY. */
  readonly announced: boolean;
}

/** Node tells of an end in its next round, as a rule. */
const toldWithinMs = 50;
/** How often an idle connection asks whether it is still of interest. */
const lookMs = 100;

/** Leaves connections idle side by side, round by round, until it is known for how long the server keeps them. */
export class IdleMeasurement {
  readonly #server: Server;
  readonly #search: IdleSearch;
  readonly #signal: AbortSignal;
  readonly #knocks: ("reset" | "lost")[] = [];
  #unannounced = 0;
  #announced = 0;
  #stood = 0;
  #waiting = 0;
  #roundBeganMs = 0;

  constructor(
    server: Server,
    options: { readonly maxMs: number; readonly lanes: number; readonly precisionMs: number | null },
  ) {
    this.#server = server;
    this.#signal = server.options.signal;
    this.#search = new IdleSearch(options);
  }

  get found(): IdleFound {
    return {
      ...this.#search.bracket,
      afterClose: this.#knocks.includes("lost") ? "lost" : (this.#knocks[0] ?? null),
      announced: this.#announced > 0 && this.#unannounced === 0,
    };
  }

  /** Connections that are still idle, and for how long the first of them have been. */
  get progress(): { readonly waiting: number; readonly idleMs: number } {
    return { waiting: this.#waiting, idleMs: systemClock.monotonic() - this.#roundBeganMs };
  }

  /** @throws DeadpeerError `measurement-void` where no connection could be had; whatever the signal is aborted with. */
  async run(): Promise<void> {
    const over = new AbortController();
    const beating = pulse(this.#server, AbortSignal.any([over.signal, this.#signal]));
    try {
      for (let round = this.#search.next(); round.length > 0; round = this.#search.next())
        await this.#runRound(round);
    } finally {
      over.abort();
      await beating;
    }
  }

  async #runRound(round: readonly IdleTrial[]): Promise<void> {
    this.#roundBeganMs = systemClock.monotonic();
    this.#stood = 0;
    await Promise.all(round.map((trial) => this.#try(trial)));
    if (this.#stood === 0)
      throw new DeadpeerError(
        "measurement-void",
        `of ${round.length} connections at once the server answered on none; give fewer with --connections`,
      );
  }

  async #try({ askedMs, delayMs }: IdleTrial): Promise<void> {
    this.#waiting++;
    try {
      if (delayMs > 0) await wait(delayMs, this.#signal);
      const wire = await this.#open();
      if (wire === null) return;
      try {
        this.#search.take(await this.#lieIdle(wire, askedMs));
      } finally {
        wire.close();
      }
    } finally {
      this.#waiting--;
    }
  }

  async #open(): Promise<Wire | null> {
    try {
      return await this.#server.open();
    } catch (error) {
      if (error instanceof DeadpeerError && error.code === "cannot-connect") return null;
      throw error;
    }
  }

  async #lieIdle(wire: Wire, askedMs: number): Promise<IdleOutcome> {
    const { patienceMs } = this.#server.options;
    const first = await wire.exchange({ patienceMs });
    if (first.fate !== "answered") return { kind: "void" };
    this.#stood++;
    const sinceMs = first.arrivedMs;
    const idle = (): number => systemClock.monotonic() - sinceMs;
    for (let restMs = askedMs; restMs > 0; restMs = askedMs - idle()) {
      const end = await this.#endOf(wire);
      if (end !== null) return await this.#ended(wire, end, sinceMs);
      if (!this.#search.wants(askedMs, idle()))
        return this.#search.bracket.by === "fin" || this.#search.bracket.by === "rst"
          ? { kind: "outlived", idleMs: idle() }
          : { kind: "void" };
      await Promise.race([wait(Math.min(restMs, lookMs), this.#signal), wire.ended]);
    }
    // What has arrived came before the request that we would send.
    const end = await this.#endOf(wire);
    if (end !== null) return await this.#ended(wire, end, sinceMs);
    const late = await wire.exchange({ patienceMs });
    // What was broken off by us tells nothing of the server.
    this.#signal.throwIfAborted();
    const idleMs = late.beganMs - sinceMs;
    switch (late.fate) {
      case "answered":
      case "broken-off":
      case "unreadable":
        return { kind: "answered", idleMs };
      default:
        return { kind: "unanswered", how: late.fate, idleMs };
    }
  }

  /** Node's word, which knows the time of a reset too; and the kernel's where Node has none. */
  async #endOf(wire: Wire): Promise<WireEnd | null> {
    const untold = wire.untoldEnd;
    if (untold !== null) await Promise.race([wire.ended, wait(toldWithinMs, this.#signal)]);
    return wire.end ?? untold;
  }

  async #ended(wire: Wire, end: WireEnd, sinceMs: number): Promise<IdleOutcome> {
    if (end.by === "failed") return { kind: "void" };
    if (end.announced) this.#announced++;
    else this.#unannounced++;
    if (end.by === "fin") {
      const knock = await wire.knock(Math.max(500, 4 * (wire.rttMs ?? 0)));
      this.#signal.throwIfAborted();
      if (knock !== null) this.#knocks.push(knock);
    }
    return { kind: "ended", by: end.by, idleMs: end.atMs - sinceMs };
  }
}
