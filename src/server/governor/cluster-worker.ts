import { DeadpeerError } from "../../errors.js";
import type { ClockTimer, TimerClock } from "../../time/clock.js";
import type { CountLimits, LimitReason } from "./clients.js";
import {
  type Ask,
  type Counted,
  keyToSend,
  mostEntries,
  primaryMessageIn,
  type WorkerMessage,
} from "./cluster-messages.js";

/** The way to the primary; in a test, something else. */
export interface PrimaryChannel {
  /** False: it is closed. */
  send(message: WorkerMessage): boolean;
  /** @returns what stops listening. */
  listen(heard: (message: unknown) => void, closed: () => void): () => void;
}

export interface ClusterWorkerHost {
  /** Where the server listens, which is the same in each worker. */
  readonly group: string;
  readonly limits: CountLimits;
  readonly clock: TimerClock;
  readonly channel: PrimaryChannel;
  /** What this worker holds at this moment, by client. */
  held(): Iterable<Counted>;
  /** The primary wants a connection of this client, or of anybody (null), to make room for another worker's. */
  shed(key: string | null): void;
  /** The primary does not answer: limits hold for this worker alone, until it does. */
  alone(problem: DeadpeerError): void;
}

/** `"alone"`: nobody has answered, and this worker's own counts decide. */
export type Answer = LimitReason | null | "alone";

/** A primary that is alive answers within a millisecond; a busy one within some. Connections wait for it meanwhile. */
const patienceMs = 1_000;
/** So often a primary that does not answer is asked again. */
const againMs = 5_000;
/** So many connections may wait for their answer; of more, this worker's own counts decide. */
const mostWaiting = 10_000;

interface Waiting {
  readonly ask: Ask;
  readonly answered: (answer: Answer) => void;
}

/** A worker's side of limits that hold over a whole cluster: asks the primary before each connection is taken. */
export class ClusterWorker {
  readonly #host: ClusterWorkerHost;
  readonly #unlisten: () => void;
  #state: "beginning" | "shared" | "alone" = "beginning";
  /** What is on its way: its asks, and when patience is over. */
  #sent: { readonly number: number; readonly asks: readonly Waiting[]; readonly timer: ClockTimer } | null =
    null;
  #number = 0;
  /** Waits for the next message. */
  #asks: Waiting[] = [];
  readonly #gone = new Map<string, number>();
  /** What the primary has not been told yet since it was asked to begin. */
  #held: Counted[] | null = null;
  #retry: ClockTimer | null = null;
  #scheduled = false;
  #closed = false;

  constructor(host: ClusterWorkerHost) {
    this.#host = host;
    this.#unlisten = host.channel.listen(
      (message) => this.#heard(message),
      () => this.#lost("the connection to it is closed"),
    );
  }

  /** Whether the limits hold over all workers. */
  get shared(): boolean {
    return this.#state === "shared";
  }

  /**
   * Asks for one more connection of a client; it is counted if the answer is null.
   *
   * @param shed another worker may be asked to make room.
   * @param answered called once, later or at once.
   */
  ask(key: string, shed: boolean, answered: (answer: Answer) => void): void {
    if (this.#state === "alone" || this.#asks.length >= mostWaiting) {
      answered("alone");
      return;
    }
    this.#asks.push({ ask: [keyToSend(key), shed], answered });
    this.#soon();
  }

  /** A connection of a client that was counted has ended. */
  gone(key: string): void {
    // Who is alone tells what is left, when somebody listens again.
    if (this.#state === "alone" || this.#closed) return;
    const sent = keyToSend(key);
    this.#gone.set(sent, (this.#gone.get(sent) ?? 0) + 1);
    this.#soon();
  }

  /** Whoever still waits is answered by this worker's own counts. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unlisten();
    // Begins again with nothing: what this worker holds is no longer held to anything.
    const { channel, group, limits } = this.#host;
    const nothing = { held: [], gone: [], asks: [] };
    if (this.#number > 0)
      channel.send({ deadpeer: "governor", group, number: ++this.#number, limits, ...nothing });
    this.#giveUp();
    if (this.#retry !== null) this.#host.clock.clear(this.#retry);
  }

  /** What comes up in the same turn of the event loop goes together. */
  #soon(): void {
    if (this.#scheduled || this.#sent !== null) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (this.#sent === null && this.#state !== "alone" && !this.#closed) this.#send();
    });
  }

  #send(): void {
    const begins = this.#state === "beginning" && this.#held === null;
    if (begins) {
      // As of now: what ends from here on is told behind it.
      this.#held = Array.from(this.#host.held(), ([key, count]) => [keyToSend(key), count] as const);
      this.#gone.clear();
    }
    const held = this.#held?.splice(0, mostEntries) ?? [];
    const telling = (this.#held?.length ?? 0) > 0;
    const gone = telling ? [] : Array.from(this.#gone).slice(0, mostEntries);
    // What has ended makes room: nothing is asked before all of it is told.
    const asking = !telling && gone.length === this.#gone.size;
    for (const [key] of gone) this.#gone.delete(key);
    const asks = asking ? this.#asks.splice(0, mostEntries) : [];
    this.#transmit(held, gone, asks, begins);
  }

  #transmit(
    held: readonly Counted[],
    gone: readonly Counted[],
    asks: readonly Waiting[],
    begins = false,
  ): void {
    const { group, limits, clock, channel } = this.#host;
    const number = ++this.#number;
    const timer = clock.set(() => this.#lost(`it has not answered within ${patienceMs} ms`), patienceMs);
    this.#sent = { number, asks, timer };
    const message = { held, gone, asks: asks.map(({ ask }) => ask), ...(begins ? { limits } : {}) };
    if (!channel.send({ deadpeer: "governor", group, number, ...message }))
      this.#lost("the connection to it is closed");
  }

  #heard(message: unknown): void {
    const said = primaryMessageIn(message, this.#host.group);
    if (said === null || this.#closed) return;
    if ("shed" in said) {
      if (this.#state === "shared") this.#host.shed(said.shed);
      return;
    }
    const sent = this.#sent;
    // An answer that comes after patience was over is to nobody: what the primary counts is told anew.
    if (sent === null || said.number !== sent.number) return;
    this.#host.clock.clear(sent.timer);
    this.#sent = null;
    if (this.#state === "alone") this.#state = "beginning";
    else if (this.#held?.length === 0) {
      this.#held = null;
      this.#state = "shared";
    }
    for (const [index, { answered }] of sent.asks.entries()) answered(said.answers[index] ?? null);
    if (this.#state === "beginning" || this.#asks.length > 0 || this.#gone.size > 0) this.#soon();
  }

  #lost(why: string): void {
    if (this.#closed) return;
    const was = this.#state;
    this.#giveUp();
    this.#retry ??= this.#host.clock.set(() => this.#knock(), againMs);
    if (was === "alone") return;
    this.#host.alone(
      new DeadpeerError(
        "no-primary",
        `the cluster's primary does not count connections: ${why}; limits hold for this worker alone. Call governCluster() in the primary`,
      ),
    );
  }

  /** Whether somebody answers again. Connections do not wait for that; who has answered is told everything. */
  #knock(): void {
    this.#retry = null;
    this.#transmit([], [], []);
  }

  #giveUp(): void {
    this.#state = "alone";
    const waiting = [...(this.#sent?.asks ?? []), ...this.#asks];
    if (this.#sent !== null) this.#host.clock.clear(this.#sent.timer);
    this.#sent = null;
    this.#asks = [];
    this.#held = null;
    this.#gone.clear();
    for (const { answered } of waiting) answered("alone");
  }
}
