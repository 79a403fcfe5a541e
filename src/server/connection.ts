import type { Socket } from "node:net";
import { beforeDestroy, type DestroyListener } from "../guard/before-destroy.js";
import type { Hello, Message } from "../heartbeat/protocol/message.js";
import { type StreamListener, StreamWire } from "../heartbeat/session/stream-wire.js";
import type { Agenda, Due } from "./agenda.js";
import type { HostedSession } from "./session.js";

/** What a connection needs of its server. */
export interface ConnectionHost {
  readonly agenda: Agenda;
  readonly handshakeMs: number;
  /** The client said hello: it gets its session, or a goodbye. */
  greeted(connection: Connection, hello: Hello): HostedSession | null;
  /** It did not, or not as it should. */
  refused(connection: Connection, problem: string): void;
  /** Its socket is gone. */
  closed(connection: Connection): void;
}

/** So long a goodbye may take to be read. */
const lingerMs = 2_000;

const connectionOf = Symbol("deadpeer connection");
type ConnectedSocket = Socket & { [connectionOf]?: Connection };

/** One TCP or TLS connection of a server: until its hello it listens itself, then its session does. */
export class Connection implements StreamListener, DestroyListener, Due {
  place = -1;
  readonly wire: StreamWire;
  readonly socket: Socket;
  readonly #host: ConnectionHost;
  #session: HostedSession | null = null;
  #leaving = false;

  constructor(socket: Socket, host: ConnectionHost) {
    this.socket = socket;
    this.#host = host;
    this.wire = new StreamWire(socket, this);
    (socket as ConnectedSocket)[connectionOf] = this;
    beforeDestroy(socket, this);
    socket.on("error", ignore);
    host.agenda.enter(this);
    host.agenda.set(this, host.agenda.nowMs + host.handshakeMs);
  }

  get greeting(): boolean {
    return this.#session === null && !this.#leaving;
  }

  onMessage(message: Message): void {
    if (!this.greeting) return;
    if (message.type !== "hello") {
      this.#host.refused(this, "it did not begin with a hello");
      return;
    }
    const session = this.#host.greeted(this, message);
    // The application may have closed it at once.
    if (session === null || this.#leaving) return;
    this.#session = session;
    this.#host.agenda.leave(this);
    this.wire.handTo(session);
  }

  onRead(): void {}

  onDrain(): void {}

  onProtocolError(problem: Error): void {
    if (this.greeting) this.#host.refused(this, problem.message);
  }

  /** The hello, or the client's taking of our goodbye, is overdue. */
  due(): void {
    if (this.#leaving) this.socket.destroy();
    else this.#host.refused(this, `no hello within ${this.#host.handshakeMs} ms`);
  }

  /** Ends in order, and for good if that takes long. */
  linger(): void {
    this.#leaving = true;
    this.wire.end();
    if (this.socket.destroyed) return;
    if (this.#session !== null) this.#host.agenda.enter(this);
    this.#host.agenda.set(this, this.#host.agenda.nowMs + lingerMs);
  }

  socketDestroyed(error: Error | null): void {
    this.#host.agenda.leave(this);
    this.#session?.streamEnded(this.wire, this.socket, error);
    this.#host.closed(this);
  }
}

/** The connection that a socket carries. */
export function connectionOn(socket: Socket): Connection | null {
  return (socket as ConnectedSocket)[connectionOf] ?? null;
}

function ignore(): void {}
