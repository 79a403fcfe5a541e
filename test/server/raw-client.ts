import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { encode } from "../../src/heartbeat/protocol/encode.js";
import type { Hello, Message } from "../../src/heartbeat/protocol/message.js";
import { StreamReader } from "../../src/heartbeat/protocol/stream-reader.js";

export const plainHello: Hello = {
  type: "hello",
  version: 1,
  sendEveryMs: 0,
  deadlineMs: 40_000,
  maxPayload: 1 << 20,
  session: null,
  token: Buffer.alloc(0),
  received: 0,
  key: Buffer.alloc(0),
};

/** A client that says whatever a test likes. */
export class RawClient {
  readonly socket: Socket;
  /** All that came, in order. */
  readonly heard: Message[] = [];
  /** Resolves when the server has closed. */
  readonly ended: Promise<unknown>;
  /** Answers the server's beats by itself, as a client should. */
  answering = false;
  readonly #reader = new StreamReader({ mayRefuse: true });
  #waiting: (() => void)[] = [];

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("error", () => {});
    this.ended = new Promise((resolve) => socket.once("close", resolve));
    socket.on("data", (chunk) =>
      this.#reader.push(chunk, (message) => {
        this.heard.push(
          "payload" in message ? { ...message, payload: Buffer.from(message.payload) } : message,
        );
        if (this.answering && message.type === "beat")
          this.say({ ...message, type: "answer", received: 0, payload: Buffer.alloc(0) });
        for (const wake of this.#waiting.splice(0)) wake();
      }),
    );
    socket.on("close", () => {
      for (const wake of this.#waiting.splice(0)) wake();
    });
  }

  static async connect(port: number, host = "127.0.0.1"): Promise<RawClient> {
    const socket = connect({ port, host });
    await once(socket, "connect");
    return new RawClient(socket);
  }

  say(...messages: Message[]): void {
    this.socket.write(Buffer.concat(messages.map((message) => encode(message))));
  }

  async hello(more: Partial<Hello> = {}): Promise<Hello> {
    this.say({ ...plainHello, ...more });
    return (await this.next("hello")) as Hello;
  }

  /** The first message of a type, come or coming; undefined if the server closes without. */
  async next(type: Message["type"]): Promise<Message | undefined> {
    for (;;) {
      const found = this.heard.find((message) => message.type === type);
      if (found !== undefined || this.socket.destroyed) return found;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }
}
