import { setTimeout as sleep } from "node:timers/promises";
import { encode } from "../../../../src/heartbeat/protocol/encode.js";
import type { Hello, Message } from "../../../../src/heartbeat/protocol/message.js";
import type { VerdictState } from "../../../../src/verdict/verdict.js";
import { randomFrom } from "../../../support/random.js";
import { reset } from "../../../support/reset.js";
import type { ClientEntry, Tally } from "./ledger.js";
import { Line } from "./line.js";
import { payloadOf, readPayload, wish } from "./payload.js";

/** Connections in a row that may end before they are greeted. */
const mostTries = 5;

export interface Script {
  readonly port: number;
  readonly host: string;
  /** What it does is drawn from this, and nothing of it from the clock. */
  readonly seed: number;
  /** Of its first life; each has another. */
  readonly nonce: number;
  readonly actions: number;
  /** Between two actions, on average. */
  readonly paceMs: number;
  /** Once in its script it goes deaf, until the server gives it up. */
  readonly goesDeaf: boolean;
  readonly log?: (line: string) => void;
}

/**
 * One client, which beats, talks, is quiet, says things in parts, and ends its connections in every way; then it comes back to its
 * session, or begins another. What it does, and how much of it, is the same for the same seed.
 */
export class ScriptedClient {
  readonly entries: ClientEntry[] = [];
  /** Connections that ended before they were greeted. */
  retries = 0;
  readonly #script: Script;
  readonly #random: (below: number) => number;
  #line!: Line;
  #session: Uint8Array | null = null;
  #token: Uint8Array = Buffer.alloc(0);
  #nonce: number;
  #sent: Tally = { messages: 0, bytes: 0 };
  #received: Tally = { messages: 0, bytes: 0 };
  /** Sent and not acknowledged, by sequence; the first is `#acknowledged + 1`. */
  #outbox: Buffer[] = [];
  #acknowledged = 0;
  #expected = 0;
  #beats = 0;
  #ends: VerdictState[] = [];
  #told = 0;
  #resting: NodeJS.Timeout | undefined;

  constructor(script: Script) {
    this.#script = script;
    this.#random = randomFrom(script.seed);
    this.#nonce = script.nonce;
  }

  async start(): Promise<void> {
    await this.#connect();
    this.#data(1, wish.nothing);
  }

  /** All of the script, until everything is answered, acknowledged and replied to. */
  async live(): Promise<void> {
    const { actions, paceMs, goesDeaf } = this.#script;
    const deafAt = goesDeaf ? this.#random(actions) : -1;
    for (let n = 0; n < actions; n++) {
      await sleep(this.#random(2 * paceMs));
      await (n === deafAt ? this.#beDeaf() : this.#act(this.#random(100)));
    }
    await this.#settle();
  }

  /** Until it finishes it beats on its own account, so that nobody has to ask it. */
  rest(everyMs: number): void {
    this.#resting = setInterval(() => {
      this.#line.write(Buffer.concat(this.#beatsOf(1)));
      // How many there are is the clock's business, and not the script's.
      this.#beats--;
    }, everyMs);
  }

  /** Ends its session in order. */
  async finish(): Promise<void> {
    clearInterval(this.#resting);
    await this.#settle();
    this.#line.write(encode({ type: "bye", reason: "done", text: "" }));
    await this.#line.gone();
    this.#write("closed");
  }

  async #act(drawn: number): Promise<void> {
    const { paceMs } = this.#script;
    if (drawn < 42) this.#line.write(Buffer.concat(this.#beatsOf(1 + this.#random(4))));
    else if (drawn < 64) await this.#talk();
    else if (drawn < 74) await this.#inParts();
    else if (drawn < 86) await sleep(paceMs * (3 + this.#random(4)));
    else if (drawn < 89) await this.#end("FIN", false);
    else if (drawn < 92) await this.#end("RST", false);
    else if (drawn < 94) await this.#end("FIN", true);
    else if (drawn < 96) await this.#end("RST", true);
    else if (drawn < 98) await this.#beginAnew();
    else await this.#crumbs();
  }

  async #talk(): Promise<void> {
    for (let more = this.#random(3); more-- > 0; ) this.#data(this.#length(), this.#random(3));
    if (this.#random(25) > 0) {
      this.#data(this.#length(), this.#random(3));
      return;
    }
    this.#data(this.#length(), wish.evict);
    await this.#line.gone();
    await this.#comeBack("evicted");
  }

  async #inParts(): Promise<void> {
    const { paceMs } = this.#script;
    const frame =
      this.#random(2) > 0
        ? Buffer.concat(this.#beatsOf(1 + this.#random(2)))
        : this.#dataFrame(this.#length(), this.#random(3));
    await this.#line.writeInParts(frame, [this.#random(frame.length)], this.#random(paceMs));
  }

  async #crumbs(): Promise<void> {
    const [frame = Buffer.alloc(0)] = this.#beatsOf(1);
    await this.#line.writeInParts(frame, frame.subarray(1).map((_, n) => n + 1) as unknown as number[], 1);
  }

  async #end(how: "FIN" | "RST", inMessage: boolean): Promise<void> {
    const { socket } = this.#line;
    // Whoever resets may leave anything behind.
    if (how === "FIN" || this.#random(2) > 0) await this.#settle();
    else this.#beats -= this.#line.beats;
    if (inMessage) {
      const [frame = Buffer.alloc(0)] = this.#beatsOf(1);
      this.#beats--;
      this.#line.writeBeginning(frame.subarray(0, 1 + this.#random(frame.length - 1)));
      await sleep(this.#random(this.#script.paceMs));
    }
    if (how === "FIN") socket.end();
    else reset(socket);
    await this.#line.gone();
    await this.#comeBack(how === "FIN" ? "closed" : "reset");
  }

  async #beginAnew(): Promise<void> {
    await this.finish();
    this.#nonce++;
    this.#session = null;
    this.#token = Buffer.alloc(0);
    this.#outbox = [];
    this.#acknowledged = this.#expected = this.#beats = this.#told = 0;
    this.#sent = { messages: 0, bytes: 0 };
    this.#received = { messages: 0, bytes: 0 };
    this.#ends = [];
    await this.start();
  }

  async #beDeaf(): Promise<void> {
    await this.#settle();
    this.#line.deaf = true;
    await this.#line.gone();
    await this.#comeBack("unresponsive");
  }

  /** To its session, over another connection, with what the server has not taken. */
  async #comeBack(deserved: VerdictState): Promise<void> {
    this.#ends.push(deserved);
    await this.#connect();
  }

  async #connect(): Promise<void> {
    const { line, hello } = await this.#greeted();
    const { session, received } = hello;
    this.#session = Buffer.from(session ?? []);
    this.#token = Buffer.from(hello.token);
    this.#told = this.#received.messages;
    this.#acknowledge(received);
    for (const frame of this.#outbox) line.write(frame);
  }

  /** A server that has too little of the machine may end a connection before it has read its hello; then another one is made. */
  async #greeted(): Promise<{ line: Line; hello: Hello }> {
    const { port, host, paceMs } = this.#script;
    for (let tries = 1; ; tries++) {
      const line = new Line(port, host, (message) => this.#take(line, message));
      this.#line = line;
      try {
        const [session, token, received] = [this.#session, this.#token, this.#received.messages];
        return { line, hello: await line.greet({ session, token, received }) };
      } catch (error) {
        if (!line.ended || tries === mostTries) throw error;
        this.retries++;
        this.#script.log?.(`${this.#nonce}: ${(error as Error).message}`);
        await sleep(paceMs);
      }
    }
  }

  /** Everything said was answered, acknowledged and replied to. */
  async #settle(): Promise<void> {
    const line = this.#line;
    await line.when(() => line.answers === line.beats, "each beat was answered");
    await line.when(() => this.#outbox.length === 0, "all was acknowledged");
    await line.when(() => this.#received.messages === this.#expected, "each reply had come");
  }

  #write(deserved: VerdictState): void {
    this.entries.push({
      nonce: this.#nonce,
      sent: this.#sent,
      received: this.#received,
      beats: this.#beats,
      ends: [...this.#ends, deserved],
    });
  }

  // What it says.

  #beatsOf(count: number): Buffer[] {
    this.#beats += count;
    this.#told = this.#received.messages;
    return Array.from({ length: count }, () =>
      encode({
        type: "beat",
        number: ++this.#line.beats,
        sendEveryMs: 0,
        received: this.#told,
        payload: Buffer.alloc(0),
      }),
    );
  }

  #length(): number {
    return this.#random(20) > 0 ? this.#random(300) : this.#random(20_000);
  }

  #data(length: number, flag: number): void {
    this.#line.write(this.#dataFrame(length, flag));
  }

  #dataFrame(length: number, flag: number): Buffer {
    const sequence = ++this.#sent.messages;
    const payload = payloadOf({ nonce: this.#nonce, sequence, flag, length }, this.#random);
    this.#sent.bytes += payload.length;
    if (flag === wish.reply || flag === wish.replyLater) this.#expected++;
    const frame = encode({ type: "data", sequence, payload });
    this.#outbox.push(frame);
    return frame;
  }

  // What it hears.

  #take(line: Line, message: Message | null): void {
    if (line !== this.#line || line.deaf) return;
    if (message === null) {
      if (this.#told === this.#received.messages) return;
      this.#told = this.#received.messages;
      line.write(encode({ type: "acknowledgement", received: this.#told }));
      return;
    }
    switch (message.type) {
      case "answer":
      case "acknowledgement":
        this.#acknowledge(message.received);
        break;
      case "beat":
        this.#acknowledge(message.received);
        this.#told = this.#received.messages;
        line.write(encode({ ...message, type: "answer", received: this.#told }));
        break;
      case "data":
        this.#reply(line, message.sequence, message.payload);
        break;
      default:
    }
  }

  #reply(line: Line, sequence: number, payload: Uint8Array): void {
    const known = readPayload(payload, sequence);
    if (sequence !== this.#received.messages + 1 || known?.nonce !== this.#nonce)
      line.fail(
        new Error(`message ${sequence} of the server's, after ${this.#received.messages}, is broken`),
      );
    this.#received.messages = sequence;
    this.#received.bytes += payload.length;
  }

  #acknowledge(received: number): void {
    if (received > this.#sent.messages)
      this.#line.fail(new Error(`${received} acknowledged of ${this.#sent.messages}`));
    if (received <= this.#acknowledged) return;
    this.#outbox.splice(0, received - this.#acknowledged);
    this.#acknowledged = received;
  }
}
