import type { Socket } from "node:net";
import { baseFd } from "../guard/inner-socket.js";
import { beforeDestroy, type DestroyListener } from "../guard/before-destroy.js";
import type { Hello, Message } from "../heartbeat/protocol/message.js";
import { lingerMs } from "../heartbeat/session/end-in-time.js";
import { type StreamListener, StreamWire } from "../heartbeat/session/stream-wire.js";
import { closeFd, duplicate } from "../kernel/socket-io.js";
import type { Lot } from "./parking/lot.js";
import type { Agenda, Due } from "./agenda.js";
import type { ActiveSession } from "./active-session.js";

/** What a connection needs of its server. */
export interface ConnectionHost {
  readonly agenda: Agenda;
  readonly handshakeMs: number;
  /** The client said hello: it gets its session, or a goodbye. */
  greeted(connection: Connection, hello: Hello): ActiveSession | null;
  /** It did not, or not as it should. */
  refused(connection: Connection, problem: string): void;
  /** Its socket is gone. */
  closed(connection: Connection): void;
}

const connectionOf = Symbol("deadpeer connection");
type ConnectedSocket = Socket & { [connectionOf]?: Connection };

/** One TCP or TLS connection of a server: until its hello it listens itself, then its session does. */
export class Connection implements StreamListener, DestroyListener, Due {
  place = -1;
  /** Nobody else knows of its socket. */
  parkable = false;
  /** Among those that have not said hello. */
  counted = false;
  readonly wire: StreamWire;
  readonly socket: Socket;
  readonly #host: ConnectionHost;
  #session: ActiveSession | null;
  #leaving = false;

  /** @param session whose connection this is already, where it comes from the lot. */
  constructor(socket: Socket, host: ConnectionHost, session: ActiveSession | null = null) {
    this.socket = socket;
    this.#host = host;
    this.#session = session;
    this.wire = new StreamWire(socket, session ?? this, { greeted: session !== null });
    (socket as ConnectedSocket)[connectionOf] = this;
    beforeDestroy(socket, this);
    socket.on("error", ignore);
    if (session !== null) return;
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

  /** Moves into the lot, if its session has needed nothing but beats since then, and nothing is on its way here. */
  park(lot: Lot, quietSinceMs: number): void {
    if (!this.parkable || this.#session === null || this.#leaving) return;
    if (this.wire.transport !== "tcp" || !this.wire.atRest) return;
    if (!this.#session.isQuiet(this.wire, quietSinceMs)) return;
    // Of a full process: it stays here.
    const fd = duplicate(baseFd(this.socket));
    if (fd < 0) return;
    if (!this.#session.park(lot, fd)) {
      closeFd(fd);
      return;
    }
    this.#session = null;
    this.#leaving = true;
    this.wire.release();
    // Without an end() before it this only closes our descriptor; the peer sees nothing.
    this.socket.destroy();
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
