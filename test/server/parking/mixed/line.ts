import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { encode } from "../../../../src/heartbeat/protocol/encode.js";
import type { Hello, Message } from "../../../../src/heartbeat/protocol/message.js";
import { StreamReader } from "../../../../src/heartbeat/protocol/stream-reader.js";
import { plainHello } from "../../raw-client.js";

/**
 * So long a client waits for anything: whatever takes longer was lost. A server whose machine stands still again and again asks a deaf
 * client anew each time.
 */
const patienceMs = 900_000;

/** One connection of a client, which can write any part of a message and end in any way. */
export class Line {
  readonly socket: Socket;
  /** Beats said and answered. */
  beats = 0;
  answers = 0;
  /** It hears, and says nothing any more. */
  deaf = false;
  hello: Hello | null = null;
  ended = false;
  readonly #reader = new StreamReader({ mayRefuse: true });
  readonly #take: (message: Message) => void;
  /** What must not go into the middle of a message. */
  #held: Buffer[] | null = null;
  #waiting: (() => void)[] = [];
  #problem: Error | null = null;
  /** Of its end, as far as anybody has said. */
  #why = "in order";

  /** @param take what is not a hello or an answer; told once for each chunk, with null, that it is through. */
  constructor(port: number, host: string, take: (message: Message | null) => void) {
    this.#take = take;
    this.socket = connect({ port, host, noDelay: true });
    this.socket.on("error", ({ message }) => {
      this.#why = message;
    });
    this.socket.on("data", (chunk) => {
      try {
        this.#reader.push(chunk, (message) => this.#read(message));
        take(null);
      } catch (error) {
        this.fail(error as Error);
      }
      this.#wake();
    });
    this.socket.on("close", () => {
      this.ended = true;
      this.#wake();
    });
  }

  /** Whoever waits learns of it. */
  fail(problem: Error): void {
    this.#problem ??= problem;
  }

  /** Until something holds, which what arrives decides. */
  async when(holds: () => boolean, what: string): Promise<void> {
    const giveUpAt = performance.now() + patienceMs;
    while (!holds()) {
      if (this.#problem !== null) throw this.#problem;
      if (this.ended) throw new Error(`the connection ended, ${this.#why}, before ${what}`);
      if (performance.now() > giveUpAt) throw new Error(`not within ${patienceMs} ms: ${what}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, patienceMs);
        this.#waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
    if (this.#problem !== null) throw this.#problem;
  }

  /** Says hello, and waits for the server's. */
  async greet(more: Partial<Hello>): Promise<Hello> {
    this.write(encode({ ...plainHello, ...more }));
    await this.when(() => this.hello !== null, "its hello was answered");
    return this.hello as Hello;
  }

  write(bytes: Buffer): void {
    if (this.#held !== null) this.#held.push(bytes);
    else if (!this.ended) this.socket.write(bytes);
  }

  /** Writes a part of the bytes, and the rest after a while. */
  async writeInParts(bytes: Buffer, cuts: readonly number[], pauseMs: number): Promise<void> {
    this.#held = [];
    let from = 0;
    for (const cut of [...cuts, bytes.length]) {
      if (cut > from) this.socket.write(bytes.subarray(from, cut));
      from = Math.max(from, cut);
      if (from < bytes.length) await sleep(pauseMs);
    }
    const held = this.#held;
    this.#held = null;
    for (const later of held) this.write(later);
  }

  /** Writes only the beginning: nothing can follow but an end. */
  writeBeginning(bytes: Buffer): void {
    this.socket.write(bytes);
    this.#held = [];
  }

  /** Until the connection is gone, whoever ends it. */
  async gone(): Promise<void> {
    await this.when(() => this.ended, "its end");
  }

  #read(message: Message): void {
    if (message.type === "bye") this.#why = `${message.reason}: ${message.text}`;
    if (message.type === "hello") this.hello = message;
    else if (message.type !== "answer") this.#take(message);
    else if (message.number === ++this.answers) this.#take(message);
    else this.fail(new Error(`answer ${message.number} came as number ${this.answers}`));
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}
