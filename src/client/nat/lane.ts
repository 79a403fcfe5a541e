import { systemClock } from "../../kernel/clock.js";
import { parseGreeting } from "../../heartbeat/echo/lines.js";
import { Connection, type Ended } from "./connection.js";
import type { Outcome } from "./search/outcome.js";
import { Silence, type Traffic } from "./silence.js";
import type { Address } from "./target.js";
import { wait } from "./wait.js";

/** How often a silent connection's counters are looked at; at the beginning, when our kernel owes an acknowledgement, more often. */
const lookMs = 250;
const firstLookMs = 20;
/** An echo server's answers at the beginning. */
const answerMs = 5_000;
/** What the other side says by itself any sooner belongs to its greeting. */
const greetingMs = 1_000;
/** A server that has spoken so often since will not be silent. */
const mostWords = 5;

/** A connection that is left silent for a time, once. */
export class Lane {
  readonly connection: Connection;
  /** Its name on an echo server; null on others. */
  readonly id: string | null;
  readonly #silence: Silence;
  readonly openedMs: number;
  #words = 0;

  private constructor(connection: Connection, id: string | null) {
    this.connection = connection;
    this.id = id;
    this.openedMs = systemClock.monotonic();
    this.#silence = new Silence(this.openedMs, this.#traffic());
  }

  /**
   * @param control the control connection's name on an echo server; null: another kind of server.
   * @returns null where the server does not play along.
   * @throws DeadpeerError `cannot-connect`; whatever `signal` is aborted with.
   */
  static async open(address: Address, control: string | null, signal: AbortSignal): Promise<Lane | null> {
    const connection = await Connection.open(address, signal);
    try {
      if (control === null) return new Lane(connection, null);
      const greeting = parseGreeting((await nextLine(connection, signal)) ?? "");
      connection.write(`lane ${control}`);
      if (greeting !== null && (await nextLine(connection, signal)) === "ok")
        return new Lane(connection, greeting.id);
      connection.close(false);
      return null;
    } catch (error) {
      connection.close(false);
      throw error;
    }
  }

  /** A packet of ours passes a box up to half of this later than we send it, one of theirs as much earlier than it arrives. */
  get roundTripMs(): number {
    return (this.connection.info()?.rttUs ?? 0) / 1_000;
  }

  /**
   * Says nothing until the silence has lasted for `askedMs`.
   *
   * @param wanted asked from time to time whether that is still of interest.
   * @returns null: it lasted; otherwise what came in between.
   */
  async beSilent(askedMs: number, wanted: () => boolean, signal: AbortSignal): Promise<Outcome | null> {
    for (;;) {
      const nowMs = systemClock.monotonic();
      const { ended } = this.connection;
      if (ended !== null) return this.#ended(ended);
      const broken = this.#silence.look(nowMs, this.#traffic());
      if (broken !== null && nowMs - this.openedMs > greetingMs) this.#words++;
      if (broken !== null && (broken.afterMs >= greetingMs || this.#words === mostWords)) {
        // The kernel has received it; whether it was an end, Node says when it next looks at its sockets.
        await wait(5, signal);
        const by = this.connection.ended?.how ?? "spoken";
        if (by === "reset" || by === "failed")
          return { kind: "lost", how: "reset", silentMs: nowMs - this.openedMs, unasked: true };
        return this.#interrupted(by, broken.afterMs);
      }
      if (!wanted()) return { kind: "void" };
      const restMs = askedMs - this.#silence.atLeastMs(nowMs);
      if (restMs <= 0) return null;
      await wait(Math.min(restMs, nowMs - this.openedMs < 500 ? firstLookMs : lookMs), signal);
    }
  }

  /** To be asked before anything is said. */
  get silentAtLeastMs(): number {
    return this.#silence.atLeastMs(systemClock.monotonic());
  }

  /** The same, for what has been sent by now. */
  get silentAtMostMs(): number {
    return this.#silence.atMostMs(systemClock.monotonic()) + this.roundTripMs;
  }

  #ended({ how, atMs }: Ended): Outcome {
    if (how === "closed") return this.#interrupted("closed", this.#silence.atLeastMs(atMs));
    return { kind: "lost", how: "reset", silentMs: this.#silence.atMostMs(atMs), unasked: true };
  }

  #interrupted(by: "closed" | "spoken", brokenAfterMs: number): Outcome {
    // It passed the box up to half a round trip before it arrived, and our last packet as much later than it was sent.
    const silentMs = brokenAfterMs - this.roundTripMs;
    // A server that takes no more connections closes them as soon as they stand.
    const atOnce = by === "closed" && silentMs < greetingMs;
    return atOnce ? { kind: "void" } : { kind: "interrupted", by, silentMs: Math.max(0, silentMs) };
  }

  #traffic(): Traffic {
    const info = this.connection.info();
    // Linux 4.2; before, what is not data goes unseen.
    return { in: info?.segmentsIn ?? this.connection.socket.bytesRead, out: info?.segmentsOut ?? 0 };
  }
}

/** The server's next line; null: none within a time, or it has ended. */
export async function nextLine(
  connection: Connection,
  signal: AbortSignal,
  withinMs = answerMs,
): Promise<string | null> {
  const untilMs = systemClock.monotonic() + withinMs;
  while (connection.lines.length === 0 && connection.ended === null) {
    if (systemClock.monotonic() > untilMs) return null;
    await wait(5, signal);
  }
  return connection.lines.shift() ?? null;
}
