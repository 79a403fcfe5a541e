import { DeadpeerError } from "../../errors.js";
import { type Greeting, parseGreeting } from "../../heartbeat/echo/lines.js";
import { systemClock } from "../../kernel/clock.js";
import { Connection, type Ended } from "./connection.js";
import { nextLine } from "./lane.js";
import { type Address, formatEndpoint } from "./target.js";
import { wait } from "./wait.js";

/** An echo server greets at once; others are given this long to say that they are none. */
const greetingMs = 1_500;
const lookMs = 250;
/** It is asked every second: two lost in a row are no outage yet. */
const gapMs = 3_500;
const pingMs = 1_000;
/** A path that is down for longer than this will not be waited for. */
const outageMs = 30_000;
/** A clock that people set may be corrected by less. */
const sleptMs = 1_000;

/**
 * A connection that is never silent, beside those that are: as long as it is answered, the path and the server are up, and a silent
 * connection that is not answered has been forgotten.
 *
 * An echo server is asked for an answer of its program's: a kernel goes on acknowledging for one that hangs, and so does a proxy.
 * Others are probed by our kernel.
 */
export class Control {
  readonly address: Address;
  /** null: the server is none of deadpeer's. */
  readonly greeting: Greeting | null;
  /** Where our connections come from in an echo server's eyes; null where that is where they do, or nobody tells. */
  readonly seenAs: { readonly address: string; readonly port: number } | null;
  readonly #signal: AbortSignal;
  readonly #fail: (error: DeadpeerError) => void;
  #connection: Connection;
  #upSinceMs: number | null;
  #downSinceMs = 0;
  #awakeSinceMs: number;
  #asked: Promise<unknown> = Promise.resolve();
  /** Questions without an answer yet. */
  #owed = 0;
  #answeredMs: number;

  private constructor(
    connection: Connection,
    { address, greeting, signal, fail }: Pick<Control, "address" | "greeting"> & ControlOptions,
  ) {
    this.address = address;
    this.greeting = greeting;
    this.#connection = connection;
    this.#signal = signal;
    this.#fail = fail;
    this.#upSinceMs = systemClock.monotonic();
    this.#awakeSinceMs = this.#upSinceMs;
    this.#answeredMs = this.#upSinceMs;
    if (greeting === null) connection.probe();
    else connection.retransmitOften(2 * outageMs);
    this.seenAs = seenAs(connection, greeting);
    this.#watch().catch(fail);
    if (greeting !== null) this.#converse().catch(fail);
  }

  /**
   * To the first of these addresses that can be connected to.
   *
   * @throws DeadpeerError `cannot-connect`, for the last of them.
   */
  static async open(addresses: readonly Address[], options: ControlOptions): Promise<Control> {
    let problem: unknown;
    for (const address of addresses) {
      try {
        const connection = await Connection.open(address, options.signal);
        return await Control.#greeted(connection, address, options);
      } catch (error) {
        problem = error;
        if (!(error instanceof DeadpeerError) || error.code !== "cannot-connect") break;
      }
    }
    throw problem;
  }

  static async #greeted(connection: Connection, address: Address, options: ControlOptions): Promise<Control> {
    try {
      const { signal } = options;
      const line = await nextLine(connection, signal, greetingMs);
      const greeting = parseGreeting(line ?? "");
      if (greeting !== null) {
        connection.write("control");
        if ((await nextLine(connection, signal)) !== "ok")
          throw new DeadpeerError("measurement-void", "the echo server does not take a control connection");
      }
      return new Control(connection, { ...options, address, greeting });
    } catch (error) {
      connection.close(false);
      throw error;
    }
  }

  /** Since when it has been answered without a gap; null: it is not. */
  get upSinceMs(): number | null {
    return this.#upSinceMs;
  }

  /** Since when this machine has not slept. What a box did meanwhile our clock does not know. */
  get awakeSinceMs(): number {
    return this.#awakeSinceMs;
  }

  get roundTripMs(): number {
    return (this.#connection.info()?.rttUs ?? 0) / 1_000;
  }

  /** Asks an echo server; null: no answer in time. One question after the other. */
  ask(line: string): Promise<string | null> {
    const answer = this.#askAfter(this.#asked, line);
    this.#asked = answer.catch(() => {});
    return answer;
  }

  async #askAfter(before: Promise<unknown>, line: string): Promise<string | null> {
    await before;
    this.#connection.write(line);
    this.#owed++;
    // Answers come in the order of the questions: those that came too late are passed over.
    for (;;) {
      const got = await nextLine(this.#connection, this.#signal);
      if (got === null) return null;
      this.#answeredMs = systemClock.monotonic();
      if (--this.#owed === 0) return got;
    }
  }

  close(): void {
    this.#connection.close(false);
  }

  async #converse(): Promise<void> {
    while (!this.#signal.aborted) {
      await wait(pingMs, this.#signal);
      await this.ask("ping");
    }
  }

  async #watch(): Promise<void> {
    let beforeMs = systemClock.monotonic();
    let wallBeforeMs = systemClock.now();
    while (!this.#signal.aborted) {
      await wait(lookMs, this.#signal).catch(() => {});
      const nowMs = systemClock.monotonic();
      const wallMs = systemClock.now();
      if (wallMs - wallBeforeMs - (nowMs - beforeMs) > sleptMs) this.#awakeSinceMs = nowMs;
      [beforeMs, wallBeforeMs] = [nowMs, wallMs];
      if (!this.#signal.aborted) await this.#look(nowMs);
    }
  }

  async #look(nowMs: number): Promise<void> {
    const info = this.#connection.info();
    const { ended } = this.#connection;
    if (ended === null && info !== null) {
      const byKernelMs = nowMs - Math.min(info.lastAckRecvMs, info.lastDataRecvMs);
      const heardMs = this.greeting === null ? byKernelMs : this.#answeredMs;
      if (nowMs - heardMs <= gapMs + 2 * this.roundTripMs) this.#upSinceMs ??= nowMs;
      else this.#isDown(heardMs);
    } else if (this.greeting === null) await this.#reopen(nowMs);
    else this.#fail(this.#lost(endings[ended?.how ?? "failed"]));
    if (this.#upSinceMs === null && nowMs - this.#downSinceMs > outageMs)
      this.#fail(this.#lost(`has not been answered for ${outageMs / 1_000}s`));
  }

  /** A server that closes what is idle closes this one too: it knows nothing of the kernel's probes. */
  async #reopen(nowMs: number): Promise<void> {
    this.#connection.close(false);
    const slow = systemClock.set(() => this.#isDown(nowMs), 1_000);
    try {
      this.#connection = await Connection.open(this.address, this.#signal);
      this.#connection.probe();
    } catch (error) {
      if (!(error instanceof DeadpeerError)) throw error;
      this.#isDown(nowMs);
    } finally {
      systemClock.clear(slow);
    }
  }

  #isDown(sinceMs: number): void {
    if (this.#upSinceMs !== null) this.#downSinceMs = sinceMs;
    this.#upSinceMs = null;
  }

  #lost(how: string): DeadpeerError {
    const endpoint = formatEndpoint(this.address.address, this.address.port);
    return new DeadpeerError(
      "measurement-void",
      `the connection to ${endpoint} that is never silent ${how}: the path or the server failed, and what else was lost shows nothing`,
    );
  }
}

const endings = {
  closed: "was closed",
  reset: "was reset",
  failed: "could not be kept",
} as const satisfies Record<Ended["how"], string>;

export interface ControlOptions {
  readonly signal: AbortSignal;
  /** Told once the path or the server is given up. */
  readonly fail: (error: DeadpeerError) => void;
}

function seenAs({ socket }: Connection, greeting: Greeting | null): Control["seenAs"] {
  if (greeting === null) return null;
  const { address, port } = greeting;
  return address === socket.localAddress && port === socket.localPort ? null : { address, port };
}
