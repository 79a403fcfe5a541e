import type { Socket } from "node:net";
import type { Agenda, Due } from "../agenda.js";
import { addressOf } from "./networks.js";
import type { GovernorSettings } from "./policy.js";
import { type ProxyHeader, readProxyHeader } from "./proxy-protocol.js";
import type { RefusalReason } from "./reasons.js";

export interface DoorHost {
  /** It may go in: for whom a proxy speaks, if one does, and how long its header was. */
  enter(socket: Socket, header: ProxyHeader | null, length: number): void;
  refuse(socket: Socket, reason: RefusalReason): void;
}

/** Where connections wait until it is known whether a proxy speaks for somebody, before the server hears of them. */
export class ProxyDoor {
  readonly #settings: NonNullable<GovernorSettings["proxy"]>;
  readonly #agenda: Agenda;
  readonly #host: DoorHost;
  readonly #waiting = new Set<Waiting>();

  constructor(settings: NonNullable<GovernorSettings["proxy"]>, agenda: Agenda, host: DoorHost) {
    this.#settings = settings;
    this.#agenda = agenda;
    this.#host = host;
  }

  /** Connections that wait here. */
  get size(): number {
    return this.#waiting.size;
  }

  arrive(socket: Socket): void {
    const trusted = this.#settings.from.has(addressOf(socket));
    if (!trusted && !this.#settings.direct) {
      this.#host.refuse(socket, "proxy-untrusted");
      return;
    }
    const waiting = new Waiting(socket, trusted, (outcome, length) => {
      this.#waiting.delete(waiting);
      this.#agenda.leave(waiting);
      if (typeof outcome === "string") this.#host.refuse(socket, outcome);
      else this.#host.enter(socket, outcome, length);
    });
    this.#waiting.add(waiting);
    this.#agenda.enter(waiting);
    this.#agenda.set(waiting, this.#agenda.nowMs + this.#settings.withinMs);
    waiting.read();
  }

  /** Destroys all that wait. */
  close(): void {
    for (const waiting of this.#waiting) {
      waiting.cutOff();
      this.#agenda.leave(waiting);
    }
    this.#waiting.clear();
  }

  /** Lets all that wait go in as they are. */
  release(): void {
    for (const waiting of this.#waiting) waiting.release();
  }
}

type Outcome = ProxyHeader | RefusalReason | null;

/** One connection whose first bytes are awaited. */
class Waiting implements Due {
  place = -1;
  readonly socket: Socket;
  readonly #trusted: boolean;
  readonly #done: (outcome: Outcome, length: number) => void;
  #bytes: Buffer = Buffer.alloc(0);
  #decided = false;

  constructor(socket: Socket, trusted: boolean, done: (outcome: Outcome, length: number) => void) {
    this.socket = socket;
    this.#trusted = trusted;
    this.#done = done;
    socket.on("readable", this.#onReadable);
    socket.on("error", ignore);
    socket.on("end", this.#onEnd);
    socket.on("close", this.#onEnd);
  }

  read(): void {
    this.#onReadable();
  }

  release(): void {
    this.#decide(null, 0);
  }

  /** Nobody is told. */
  cutOff(): void {
    this.#decided = true;
    this.socket.destroy();
  }

  /** The header is overdue. A client of its own may wait for the server to speak first. */
  due(): void {
    // Timers come before the loop has read.
    setImmediate(() => {
      if (this.#trusted || this.#bytes.length > 0) this.#decide("proxy-late", 0);
      else this.#decide(null, 0);
    });
  }

  readonly #onReadable = (): void => {
    for (let piece = this.#take(); piece !== null; piece = this.#take())
      this.#bytes = this.#bytes.length === 0 ? piece : Buffer.concat([this.#bytes, piece]);
    if (this.#bytes.length === 0) return;
    const reading = readProxyHeader(this.#bytes);
    if (reading.state === "partial") return;
    if (reading.state === "none") this.#decide(this.#trusted ? "proxy-malformed" : null, 0);
    else if (!this.#trusted) this.#decide("proxy-forged", 0);
    else if (reading.state === "malformed") this.#decide("proxy-malformed", 0);
    else this.#decide(reading.header, reading.length);
  };

  #take(): Buffer | null {
    return this.#decided ? null : (this.socket.read() as Buffer | null);
  }

  readonly #onEnd = (): void => {
    if (this.#trusted || this.socket.destroyed) this.#decide("proxy-malformed", 0);
    else this.#decide(null, 0);
  };

  #decide(outcome: Outcome, length: number): void {
    if (this.#decided) return;
    this.#decided = true;
    const { socket } = this;
    socket.off("readable", this.#onReadable);
    socket.off("end", this.#onEnd);
    socket.off("close", this.#onEnd);
    if (typeof outcome === "string") {
      this.#done(outcome, 0);
      return;
    }
    const rest = this.#bytes.subarray(length);
    if (rest.length > 0) socket.unshift(rest);
    // By then the stream has noticed that nobody listens to "readable" any more, and is as it was when it came.
    setImmediate(() => {
      socket.off("error", ignore);
      this.#done(outcome, length);
    });
  }
}

function ignore(): void {}
