import type { Socket } from "node:net";
import { systemClock } from "../../kernel/clock.js";
import { AnswerReader, answerBounds, UnreadableAnswer } from "./answer-reader.js";
import type { Dialled } from "./dial.js";
import { dataArrivedMs, infoOf, packetsOf, rttMsOf, receivedEnd, segmentArrivedMs } from "./kernel-view.js";
import type { HttpTarget } from "./target.js";
import type { Exchange, ExchangeOptions, Fate, Packets, Wire, WireEnd } from "./wire.js";

/** What is asked, on each connection. */
export interface RequestShape {
  readonly target: HttpTarget;
  readonly method: "GET" | "HEAD";
  /** More headers, as name and value. */
  readonly headers: readonly (readonly [string, string])[];
  /** Closes the connection; what waits for an answer has none then. */
  readonly signal: AbortSignal;
}

/** A request that waits for its answer. */
interface Pending {
  readonly reader: AnswerReader;
  readonly settle: (fate: Fate, problem?: string) => void;
}

/** How often the kernel is asked whether a reset has come, once Node does not look any more. */
const lookMs = 5;

/** HTTP/1 over one connection, byte by byte. */
export class Http1Wire implements Wire {
  readonly protocol = "HTTP/1.1";
  readonly beganMs: number;
  readonly ended: Promise<WireEnd>;
  readonly #socket: Socket;
  readonly #shape: RequestShape;
  #end: WireEnd | null = null;
  #tellEnd: (end: WireEnd) => void = () => {};
  #unaskedBytes = 0;
  /** What came before the first request; null: there has been one. */
  #greeting: Buffer[] | null = [];
  #pending: Pending | null = null;
  #closedByUs = false;
  readonly #abort = (): void => this.close();

  constructor({ socket, beganMs }: Dialled, shape: RequestShape) {
    this.#socket = socket;
    this.#shape = shape;
    shape.signal.addEventListener("abort", this.#abort);
    this.beganMs = beganMs;
    this.ended = new Promise((resolve) => (this.#tellEnd = resolve));
    socket.on("data", (bytes: Buffer) => this.#read(bytes));
    socket.on("end", () => this.#over("fin"));
    socket.on("error", ({ code }: NodeJS.ErrnoException) =>
      this.#over(code === "ECONNRESET" || code === "EPIPE" ? "rst" : "failed"),
    );
    socket.on("close", () => this.#over("failed"));
  }

  get end(): WireEnd | null {
    return this.#end;
  }

  get unaskedBytes(): number {
    return this.#unaskedBytes;
  }

  get untoldEnd(): WireEnd | null {
    return this.#end === null ? receivedEnd(this.#socket) : null;
  }

  get packets(): Packets {
    return packetsOf(this.#socket);
  }

  get rttMs(): number | null {
    return rttMsOf(this.#socket);
  }

  exchange(options: ExchangeOptions): Promise<Exchange> {
    const beganMs = systemClock.monotonic();
    const reader = new AnswerReader({ head: this.#shape.method === "HEAD" });
    return new Promise((resolve) => {
      const settle = (fate: Fate, problem: string | null = null): void => {
        if (this.#pending?.reader !== reader) return;
        this.#pending = null;
        systemClock.clear(impatient);
        const answer = reader.answer ?? reader.begun;
        resolve({
          fate,
          answer,
          problem,
          beganMs,
          settledMs: systemClock.monotonic(),
          arrivedMs: dataArrivedMs(this.#socket),
        });
      };
      const impatient = systemClock.set(() => settle("lost"), options.patienceMs);
      this.#pending = { reader, settle };
      const otherProtocol = this.#otherProtocol();
      this.#greeting = null;
      if (otherProtocol !== null) settle("unreadable", otherProtocol);
      else if (this.#end !== null) settle(this.#end.by === "fin" ? "closed" : "reset");
      else this.#socket.write(this.#requestText(options));
    });
  }

  /** Node does not look at a socket that has ended; the kernel does, and a second write says so too. */
  async knock(patienceMs: number): Promise<"reset" | "lost"> {
    if (this.#socket.destroyed || !this.#socket.writable) return "reset";
    let failed = false;
    this.#socket.on("error", () => (failed = true)).on("close", () => (failed = true));
    this.#socket.write(this.#requestText({}));
    const untilMs = systemClock.monotonic() + patienceMs;
    while (systemClock.monotonic() < untilMs && !failed) {
      await new Promise<void>((resolve) => void systemClock.set(resolve, lookMs));
      const info = infoOf(this.#socket);
      if (info?.state === "CLOSE") failed = true;
      // Without the kernel's word only a second write would meet the reset.
      if (info === null && !failed) this.#socket.write("\r\n");
    }
    return failed ? "reset" : "lost";
  }

  close(): void {
    this.#closedByUs = true;
    this.#shape.signal.removeEventListener("abort", this.#abort);
    this.#pending?.settle("lost");
    this.#socket.destroy();
  }

  #requestText({ version = "1.1", connection = "keep-alive" }: Partial<ExchangeOptions>): string {
    const { target, method, headers } = this.#shape;
    const own = new Map<string, string>([
      ["host", `Host: ${target.authority}`],
      ["user-agent", "User-Agent: deadpeer"],
      ["accept", "Accept: */*"],
    ]);
    if (connection !== "none") own.set("connection", `Connection: ${connection}`);
    for (const [name, value] of headers) own.set(name.toLowerCase(), `${name}: ${value}`);
    return [`${method} ${target.path} HTTP/${version}`, ...own.values(), "", ""].join("\r\n");
  }

  #read(bytes: Buffer): void {
    const pending = this.#pending;
    if (pending === null) {
      this.#unaskedBytes += bytes.length;
      if (this.#greeting !== null && this.#unaskedBytes <= answerBounds.lineBytes) this.#greeting.push(bytes);
      return;
    }
    try {
      const taken = pending.reader.push(bytes);
      if (pending.reader.answer === null) return;
      this.#unaskedBytes += bytes.length - taken;
      pending.settle("answered");
    } catch (error) {
      if (!(error instanceof UnreadableAnswer)) throw error;
      pending.settle("unreadable", error.message);
    }
  }

  /** Servers of SSH, SMTP and others speak first; in words that follow "the server's answer". */
  #otherProtocol(): string | null {
    try {
      new AnswerReader({ head: true }).push(Buffer.concat(this.#greeting ?? []));
      return null;
    } catch (error) {
      if (!(error instanceof UnreadableAnswer)) throw error;
      return error.message;
    }
  }

  #over(by: WireEnd["by"]): void {
    if (this.#closedByUs || this.#end !== null) return;
    this.#end = { by, atMs: segmentArrivedMs(this.#socket), announced: false };
    this.#tellEnd(this.#end);
    const pending = this.#pending;
    if (pending === null) return;
    if (by === "fin") pending.reader.end();
    if (pending.reader.answer !== null) pending.settle("answered");
    else if (pending.reader.begun !== null) pending.settle("broken-off");
    else pending.settle(by === "fin" ? "closed" : "reset");
  }
}
