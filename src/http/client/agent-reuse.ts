import type { ClientRequest } from "node:http";
import type { Socket } from "node:net";
import { connected, timeConnect } from "./connected.js";
import { Connection } from "./connection.js";
import { ReuseCount } from "./figures.js";
import type { AgentInternals, AgentRequestOptions } from "./node-internals.js";
import { hasInternals } from "./node-internals.js";
import type { KeepAliveSettings } from "./options.js";
import { Origins } from "./origin.js";
import { type RequestReplay, type Resender, watchRequest } from "./request-replay.js";
import { tcpFacts } from "./tcp-facts.js";

/** What the agents for http: and https: have in common: which idle socket may be used again, and what if it was stale. */
export class AgentReuse implements Resender {
  readonly count = new ReuseCount();
  readonly #agent: AgentInternals;
  readonly #scheme: string;
  readonly #settings: KeepAliveSettings;
  readonly #origins: Origins;
  readonly #connections = new WeakMap<object, Connection>();
  /** Of the request that is on a socket. */
  readonly #replays = new WeakMap<object, RequestReplay>();
  readonly #asked = new WeakMap<ClientRequest, { readonly options: AgentRequestOptions; resent: number }>();
  /** Requests that were put back to be sent again may wait for a socket. */
  #mayWait = false;
  /** A request is being found a socket: the next name that the agent asks for is the one of its idle sockets. */
  #choosing: "any" | "new" | null = null;

  constructor(agent: AgentInternals, scheme: "http:" | "https:", settings: KeepAliveSettings) {
    this.#agent = agent;
    this.#scheme = scheme;
    this.#settings = settings;
    this.#origins = new Origins(settings);
  }

  /** Wraps the agent's `addRequest`. */
  choose(request: ClientRequest, options: AgentRequestOptions, add: () => void): void {
    this.#choosing ??= "any";
    if (!this.#asked.has(request)) {
      this.#asked.set(request, { options, resent: 0 });
      // Every way to a socket ends here: a new one, an idle one, and one that is passed on as soon as it has served another request.
      const onSocket = request.onSocket.bind(request) as (...given: unknown[]) => void;
      request.onSocket = (socket: Socket, ...more: unknown[]) => {
        this.#given(socket, request);
        onSocket(socket, ...more);
      };
    }
    try {
      add();
    } finally {
      this.#choosing = null;
    }
  }

  /** Called with each name that the agent asks for. */
  named(name: string): void {
    if (this.#choosing === null) return;
    const wanted = this.#choosing;
    this.#choosing = null;
    const { freeSockets, scheduling } = this.#agent;
    const free = (freeSockets as Record<string, Socket[] | undefined>)[name];
    if (free === undefined) return;
    // The one that the agent will take.
    const next = scheduling === "fifo" ? 0 : -1;
    for (let socket = free.at(next); socket !== undefined; socket = free.at(next)) {
      if (wanted === "any" && this.#usable(socket)) return;
      free.splice(next, 1);
      socket.destroy();
    }
  }

  mayResend(request: ClientRequest): boolean {
    return (this.#asked.get(request)?.resent ?? Infinity) < this.#settings.replays;
  }

  resend(request: ClientRequest): void {
    const asked = this.#asked.get(request);
    if (asked === undefined) return;
    asked.resent += 1;
    this.#mayWait = true;
    // Idle connections of a server that has just ended one are not worth another try: they go.
    this.#choosing = "new";
    this.#agent.addRequest(request, asked.options);
  }

  /** Watches over a socket that the agent has just made. */
  made(socket: Socket, { host, port }: AgentRequestOptions): void {
    const startedAt = this.#settings.clock.monotonic();
    const origin = this.#origins.of(originName(this.#scheme, host ?? "localhost", port ?? null));
    const connection = new Connection(socket, origin, this.#settings.clock);
    this.#connections.set(socket, connection);
    const emit = socket.emit.bind(socket) as (...given: unknown[]) => boolean;
    socket.emit = (event: string | symbol, ...given: unknown[]) =>
      (event === "error" && this.#replays.get(socket)?.holdsSocketError(given[0]) === true) ||
      emit(event, ...given);
    const connectMs = timeConnect(socket, this.#settings);
    socket.once(this.#scheme === "https:" ? "secureConnect" : "connect", () => {
      try {
        connected(socket, origin, startedAt, connectMs(), this.count, this.#settings);
      } catch (error) {
        socket.destroy(error as Error);
      }
    });
  }

  /**
   * @param keepAlive the header of its last answer.
   * @returns for how long the socket, which has just answered, may lie idle; 0: not at all.
   */
  freed(socket: object, keepAlive: string): number {
    const connection = this.#connections.get(socket);
    if (connection === undefined) return 0;
    connection.answerStarted(keepAlive);
    connection.requestEnded(true);
    return connection.budgetMs;
  }

  /**
   * A socket is about to be given to the first of the requests that wait for one, for which Node asks nobody else. A request that is sent
   * again comes first, and gets a new connection: for that, and where the kernel knows that the peer has ended it, this one is destroyed,
   * and Node makes another.
   */
  passedOn(socket: Socket, waiting: ClientRequest[]): void {
    const connection = this.#connections.get(socket);
    if (connection === undefined) return;
    const again = this.#mayWait
      ? waiting.findIndex((request) => (this.#asked.get(request)?.resent ?? 0) > 0)
      : -1;
    this.#mayWait = again >= 0;
    if (again > 0) waiting.unshift(...waiting.splice(again, 1));
    if (connection.unused) return;
    if (again >= 0 || tcpFacts(socket)?.open === false) socket.destroy();
  }

  #given(socket: object | null | undefined, request: ClientRequest): void {
    const connection = this.#connections.get(socket ?? request);
    if (connection === undefined) return;
    // Passed on without having been idle.
    if (!connection.idle) connection.requestEnded(true);
    connection.requestSent();
    if (!connection.reused) return;
    this.count.reused += 1;
    this.count.handshakeMsSaved += connection.origin.handshakeMs;
    if (hasInternals(request)) this.#replays.set(connection.socket, watchRequest(request, connection, this));
  }

  #usable(socket: Socket): boolean {
    const connection = this.#connections.get(socket);
    if (socket.destroyed || !socket.writable) return false;
    if (connection === undefined) return true;
    const idleMs = connection.idleMs();
    if (connection.expired(idleMs)) {
      this.count.expired += 1;
      return false;
    }
    return !connection.endedUnread(idleMs);
  }
}

function originName(scheme: string, host: string, port: string | number | null): string {
  const url = `${scheme}//${host.includes(":") ? `[${host}]` : host}${port === null ? "" : `:${port}`}`;
  return URL.canParse(url) ? new URL(url).origin : url;
}
