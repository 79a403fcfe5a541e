import { createSocket, type Socket as DatagramSocket } from "node:dgram";
import { EventEmitter, once } from "node:events";
import { type AddressInfo, createServer, isIPv6, type Server, Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket, type TlsOptions } from "node:tls";
import { DeadpeerError } from "../errors.js";
import { closeOnAbort, forgetOnAbort } from "../guard/closing.js";
import { guardListener } from "../guard/listener.js";
import type { BeatSettings } from "../heartbeat/engine/engine.js";
import { patientWith } from "../heartbeat/engine/settings.js";
import { payloadOf } from "../heartbeat/payload.js";
import { type Hello, limits, protocolVersion } from "../heartbeat/protocol/message.js";
import type { ByeReason } from "../heartbeat/protocol/message.js";
import { lingerMs } from "../heartbeat/session/end-in-time.js";
import { unkept } from "../heartbeat/session/delivery.js";
import type { SessionJournal } from "../heartbeat/session/journal.js";
import type { Wire } from "../heartbeat/session/wire.js";
import { tell } from "../heartbeat/tell.js";
import type { Verdict } from "../verdict/verdict.js";
import type { ActiveSession } from "./active-session.js";
import { Agenda } from "./agenda.js";
import { Connection, type ConnectionHost, connectionOn } from "./connection.js";
import { DatagramDoor, type DoorHost } from "./datagram-door.js";
import type { SessionHost, Standstill } from "./host.js";
import { type HeartbeatServerOptions, type ServerSettings, serverSettings } from "./options.js";
import { isId, Roster } from "./roster.js";
import { SessionIds } from "./session-ids.js";
import { HostedSession, type Session, type SessionEnd } from "./session.js";
import { Parking } from "./parking/parking.js";
import { Receptionist, tooManyGreetings } from "./parking/receptionist.js";
import { Tokens } from "./tokens.js";

export interface HeartbeatServerEvents {
  /** A new client. */
  session: [session: Session];
  /** A message, once and in order; a part of a greater buffer, so copy what is to be kept. */
  data: [session: Session, payload: Uint8Array, sequence: number];
  /** What a client's application says with its beats and answers. */
  payload: [session: Session, payload: Uint8Array];
  /** A beat of ours was missed. */
  suspect: [session: Session];
  /** The client's connection is gone; the session waits for it. */
  offline: [session: Session, verdict: Verdict];
  /** The client is back. */
  resumed: [session: Session];
  /** A message to a client will not arrive, because of the queue's policy. */
  dropped: [session: Session, payload: Uint8Array];
  /** The session is over: by the client's goodbye, because it did not come back, or because this side closed it. */
  end: [session: Session, why: SessionEnd, text: string];
  /** Somebody who is no client, or one that asks for what cannot be. */
  refused: [remote: string, problem: string];
  /** A listening socket, or the TCP settings, failed. Without a listener it is thrown. */
  error: [error: Error];
}

/** What a server holds; see `HeartbeatServer.snapshot`. */
export interface ServerSnapshot {
  /** Those whose client is here, and those whose client is away. */
  readonly sessions: number;
  /** Sessions whose connections are in the lot, in all and with each of its threads. */
  readonly parked: number;
  readonly parkedByWorker: readonly number[];
  /** TCP and TLS connections that have a socket of Node's. */
  readonly sockets: number;
  /** Connections that have not said hello, in the lot or out of it. */
  readonly greetings: number;
  /** Listeners at which the lot accepts by itself. */
  readonly lotAccepts: number;
  /** Threads that failed in the last minute. */
  readonly workersLost: number;
}

export interface ListenOptions {
  /** 0: the system chooses one. */
  readonly port: number;
  /** Default: all addresses, IPv6 and IPv4. */
  readonly host?: string;
}

export interface ListenUdpOptions extends ListenOptions {
  /** 32 bytes that clients have as well. Without it, clients get a key with the hello over TCP or TLS. */
  readonly key?: Uint8Array;
}

/** Different intervals of clients for which settings are kept; who announces a different one each time gets his own. */
const mostSettings = 64;

/**
 * Accepts the heartbeat protocol over TCP, TLS and UDP. A session lives on while its client is away, for a grace time; what is sent
 * meanwhile waits, and arrives once, in order.
 *
 * @example
 * const server = new HeartbeatServer({ detect: "demanding" });
 * server.on("data", (session, payload) => session.send(payload));
 * server.on("offline", (session, verdict) => console.log(session.id, verdict.sentence));
 * await server.listen({ port: 7443 });
 */
export class HeartbeatServer extends EventEmitter<HeartbeatServerEvents> implements AsyncDisposable {
  readonly #options: HeartbeatServerOptions;
  readonly #settings: ServerSettings;
  readonly #agenda: Agenda;
  readonly #roster = new Roster();
  readonly #connections = new Set<Connection>();
  readonly #listeners = new Set<Server>();
  readonly #door: DatagramDoor;
  readonly #beats = new Map<number, BeatSettings>();
  readonly #tokens: Tokens;
  readonly #ids = new SessionIds();
  readonly #host: SessionHost;
  readonly #connectionHost: ConnectionHost;
  #answer: ((session: Session) => Uint8Array | string) | null = null;
  readonly #parking: Parking | null;
  #greetings = 0;
  #standstill: Standstill | null = null;
  #udp = false;
  /** The sockets below TLS that has not been agreed on. */
  readonly #handshakes = new Set<Socket>();
  /** Told when the last connection has ended. */
  #emptied: (() => void) | null = null;
  #closed: Promise<void> | null = null;
  /** Ends what has begun to listen and does not yet. */
  readonly #listening = new AbortController();

  /** @throws DeadpeerError `bad-option`, `bad-duration`, `aborted`; what the store throws. */
  constructor(options: HeartbeatServerOptions = {}) {
    super();
    if (options.signal?.aborted === true)
      throw new DeadpeerError("aborted", "HeartbeatServer: the signal was already aborted");
    this.#options = options;
    this.#settings = serverSettings(options);
    this.#agenda = new Agenda(this.#settings.clock, (lateMs) => this.#stoodStill(lateMs));
    this.#host = this.#sessionHost();
    this.#connectionHost = this.#hostOfConnections();
    this.#parking = this.#newParking();
    this.#door = new DatagramDoor(this.#doorHost());
    this.#tokens = this.#load();
    if (options.signal !== undefined) closeOnAbort(options.signal, this.#onAbort);
  }

  /** Those whose client is here, and those whose client is away. */
  get sessions(): Iterable<Session> {
    return this.#roster.values();
  }

  get sessionCount(): number {
    return this.#roster.size;
  }

  /** Sessions whose connections are in the lot. */
  get parkedCount(): number {
    return this.#parking?.lot.parked ?? 0;
  }

  /** How many of what there are right now, for metrics. */
  snapshot(): ServerSnapshot {
    const lot = this.#parking?.lot ?? null;
    return {
      sessions: this.#roster.size,
      parked: lot?.parked ?? 0,
      parkedByWorker: lot?.byWorker ?? [],
      sockets: this.#connections.size,
      greetings: this.#greetings + (lot?.greeting ?? 0),
      lotAccepts: this.#parking?.acceptsAt ?? 0,
      workersLost: lot?.failures ?? 0,
    };
  }

  session(id: string): Session | undefined {
    return this.#roster.named(id);
  }

  /** What answers and beats to a session carry from now on: up to 64 KiB. null: nothing. */
  set payload(payload: ((session: Session) => Uint8Array | string) | null) {
    this.#answer = payload;
    // The lot answers without payload.
    if (payload !== null) for (const session of this.#roster.values()) session.recall();
  }

  /** Listens for TCP. @returns the address. @throws what `net.Server` gives, as `EADDRINUSE`. */
  listen(where: ListenOptions): Promise<AddressInfo> {
    return this.#listen(createServer(streamOptions), where, "connection");
  }

  /** Listens for TLS; `tls` as for `tls.createServer`. */
  listenTls({ tls, ...where }: ListenOptions & { readonly tls: TlsOptions }): Promise<AddressInfo> {
    const handshakeTimeout = this.#settings.handshakeMs;
    const server = createTlsServer({ handshakeTimeout, ...streamOptions, ...tls });
    // Until TLS is agreed on they are no connections of ours yet, but take as much room, and do not hold up `close`.
    server.on("connection", (socket: Socket) => this.#handshaking(socket));
    server.on("tlsClientError", (error, socket) => {
      tell(this, "refused", addressOf(socket), `TLS: ${error.message}`);
      // The other side may keep what is left of it open for as long as it likes.
      socket.destroy();
    });
    server.on("secureConnection", ({ _parent: below }: TLSSocket & { readonly _parent?: Socket }) => {
      if (below !== undefined) this.#handshakes.delete(below);
    });
    return this.#listen(server, where, "secureConnection");
  }

  #handshaking(socket: Socket): void {
    if (this.#closed !== null || this.#greetings + this.#handshakes.size >= this.#settings.maxGreetings) {
      tell(this, "refused", addressOf(socket), "too many connections that have not said hello");
      socket.destroy();
      return;
    }
    this.#handshakes.add(socket);
    socket.once("close", () => this.#handshakes.delete(socket));
  }

  /** Listens for datagrams. @throws DeadpeerError `bad-option` for a key that is not of 32 bytes. */
  async listenUdp({ port, host, key }: ListenUdpOptions): Promise<AddressInfo> {
    this.#mustBeOpen();
    if (key !== undefined && key.length !== limits.key)
      throw new DeadpeerError("bad-option", `key: ${key.length} bytes; a key has ${limits.key}`);
    if (this.#udp)
      throw new DeadpeerError("bad-option", "listenUdp: the server listens for datagrams already");
    this.#udp = true;
    try {
      const family = host !== undefined && !isIPv6(host) ? "udp4" : "udp6";
      const socket = await bound(createSocket(family), { port, host, signal: this.#listening.signal });
      socket.on("error", (error) => tell(this, "error", error));
      this.#door.open(socket, key ?? null);
      return socket.address();
    } catch (error) {
      this.#udp = false;
      this.#mustBeOpen();
      throw error;
    }
  }

  /** Takes a connection that somebody else has accepted. */
  accept(socket: Socket): void {
    this.#accept(socket, false);
  }

  /** @param own nobody else knows of this socket, so that it can move into the lot. */
  #accept(socket: Socket, own: boolean): Connection | null {
    const greetings = this.#greetings + (this.#parking?.lot.greeting ?? 0);
    if (this.#closed !== null || greetings >= this.#settings.maxGreetings) {
      tell(this, "refused", addressOf(socket), tooManyGreetings);
      socket.destroy();
      return null;
    }
    this.#countGreeting(1);
    const connection = this.#connect(socket, null, own);
    connection.counted = true;
    return connection;
  }

  #greeted(connection: Connection): void {
    if (connection.counted) this.#countGreeting(-1);
    connection.counted = false;
  }

  #countGreeting(more: 1 | -1): void {
    this.#greetings += more;
    if (this.#parking !== null) this.#parking.lot.greetingElsewhere = this.#greetings;
  }

  #connect(socket: Socket, session: ActiveSession | null, own = true): Connection {
    const connection = new Connection(socket, this.#connectionHost, session);
    connection.parkable = own;
    this.#connections.add(connection);
    this.#parking?.noticed();
    return connection;
  }

  /**
   * Says goodbye to everybody, and closes. With a store, sessions go on when a server takes it up again; without one, they are over.
   * Waits until connections have ended, 2 s at most.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  readonly #onAbort = { close: (): void => void this.close() };

  async #close(): Promise<void> {
    if (this.#options.signal !== undefined) forgetOnAbort(this.#options.signal, this.#onAbort);
    const closing: Promise<unknown>[] = Array.from(
      this.#listeners,
      (server) => new Promise((resolve) => server.close(resolve)),
    );
    this.#listening.abort();
    if (this.#parking !== null) closing.push(this.#parking.stop());
    for (const session of this.#roster.values()) session.awake().shutDown();
    for (const connection of this.#connections) if (connection.greeting) connection.socket.destroy();
    for (const socket of this.#handshakes) socket.destroy();
    await Promise.all(closing);
    await this.#drained();
    await this.#door.close();
    // What is kept elsewhere is not over: nothing is written about it.
    const store = this.#options.store ?? null;
    for (const session of this.#roster.values())
      if (store === null) session.awake().end("server-closed");
      else session.awake().abandon();
    this.#agenda.close();
    if (store !== null) this.#kept(() => store.close());
  }

  /** Until everybody is out of the lot and has ended, or the time for that is over. */
  async #drained(): Promise<void> {
    const lot = this.#parking?.lot;
    await lot?.emptied(lingerMs);
    await lot?.close();
    if (this.#connections.size > 0)
      await new Promise<void>((resolve) => {
        this.#emptied = resolve;
      });
  }

  #mustBeOpen(): void {
    if (this.#closed !== null) throw new DeadpeerError("connection-closed", "the server has been closed");
  }

  async #listen(server: Server, { port, host }: ListenOptions, event: string): Promise<AddressInfo> {
    this.#mustBeOpen();
    const { tcp = { detectWithin: "1m" } } = this.#options;
    if (tcp !== null) guardListener(server, tcp).on("error", (error) => tell(this, "error", error));
    server.on(event, (socket: Socket) => this.#accept(socket, true));
    // The name may be looked up while the server is closed.
    server.on("listening", () => {
      if (this.#closed !== null) server.close();
    });
    this.#listeners.add(server);
    try {
      // Whoever comes as soon as it listens is to find the lot open.
      if (event === "connection") await this.#parking?.opened();
      this.#mustBeOpen();
      server.listen({ port, backlog, ...(host === undefined ? {} : { host }) });
      await once(server, "listening", { signal: this.#listening.signal });
    } catch (error) {
      this.#listeners.delete(server);
      this.#mustBeOpen();
      throw error;
    }
    server.on("error", (error) => tell(this, "error", error));
    const address = server.address() as AddressInfo;
    if (event === "connection" && this.#parking?.takeIn(server) === true) this.#listeners.delete(server);
    return address;
  }

  /** Goes on with the sessions that another process has left behind: their clients are away. */
  #load(): Tokens {
    const { store } = this.#options;
    if (store === undefined) return new Tokens();
    const { secret, sessions } = store.load();
    const tokens = new Tokens(secret ?? undefined);
    if (secret === null) store.keepSecret(tokens.secret);
    for (const kept of sessions) {
      if (!isId(kept.id) || this.#roster.named(kept.id) !== undefined)
        throw new DeadpeerError("bad-option", `store: "${kept.id}" is no session's id, or is there twice`);
      HostedSession.begin(this.#host, Buffer.from(kept.id, "hex"), kept);
    }
    return tokens;
  }

  #stoodStill(lateMs: number): void {
    const { nowMs } = this.#agenda;
    this.#standstill = { lateMs, wokeMs: nowMs };
    for (const session of this.#roster.values()) session.active?.stoodStill(nowMs);
  }

  // The lot.

  #newParking(): Parking | null {
    const { parking: settings, clock, maxSessions, maxGreetings, beatEveryMs, handshakeMs } = this.#settings;
    if (settings === null) return null;
    const connections = this.#connections;
    const reception = new Receptionist({
      handshakeMs,
      mostGreeting: Math.ceil(maxGreetings / settings.workers),
      closing: () => this.#closed !== null,
      greet: (wire, hello) => this.#greet(wire, hello, () => wire.end()),
      refused: (remote, problem) => tell(this, "refused", textOf(remote), problem),
      connect: (fd, bytes) => {
        const connection = this.#accept(socketOn(fd), true);
        if (bytes !== null) connection?.wire.push(bytes);
      },
      resume: (fd, session, unsent) => {
        const { wire } = this.#connect(socketOn(fd), session);
        if (unsent !== null) wire.socket.write(unsent);
        session.goOn(wire);
      },
      farewell: (fd, unsent) => {
        const connection = this.#connect(socketOn(fd), null);
        if (unsent !== null) connection.socket.write(unsent);
        connection.linger();
      },
    });
    const doors = {
      streamOptions,
      onSocket: (socket: Socket) => void this.#accept(socket, true),
      onError: (error: Error) => tell(this, "error", error),
      backlog,
    };
    const capacity = Math.min(maxSessions + maxGreetings + slotsToSpare, mostSlots);
    return new Parking({ clock, settings, capacity, beatEveryMs, connections, reception, doors });
  }

  // Hellos.

  #hostOfConnections(): ConnectionHost {
    return {
      agenda: this.#agenda,
      handshakeMs: this.#settings.handshakeMs,
      greeted: (connection, hello) => {
        const { wire } = connection;
        this.#greeted(connection);
        return this.#greet(wire, hello, () => connection.linger());
      },
      refused: (connection, problem) => {
        this.#greeted(connection);
        tell(this, "refused", addressOf(connection.socket), problem);
        connection.linger();
        connection.socket.destroy();
      },
      closed: (connection) => {
        this.#greeted(connection);
        this.#connections.delete(connection);
        if (this.#connections.size === 0) this.#emptied?.();
      },
    };
  }

  /**
   * Answers a hello that came over a stream.
   *
   * @param end the wire, in order, after a goodbye.
   */
  #greet(wire: Wire, hello: Hello, end: () => void): ActiveSession | null {
    const refuse = (reason: ByeReason, text: string): null => {
      wire.send({ type: "bye", reason, text });
      end();
      return null;
    };
    const problem = this.#problemOf(hello);
    if (problem !== null) {
      tell(this, "refused", textOf(wire.remote), problem[1]);
      return refuse(...problem);
    }
    const id = hello.session ?? this.#ids.draw();
    const known = hello.session !== null;
    const session = this.#arrive(id, { wire, hello, remote: null });
    if (!(session instanceof HostedSession)) {
      tell(this, "refused", textOf(wire.remote), session[1]);
      return refuse(...session);
    }
    const active = session.awake();
    wire.send(this.#hello(id, active.received, this.#door.keyFor(session)));
    tell(this, known ? "resumed" : "session", session);
    active.go(hello.received);
    return active;
  }

  /**
   * The client of a session is here, over this wire.
   *
   * @returns the session; or why it cannot be.
   */
  #arrive(
    id: Uint8Array,
    { wire, hello, remote }: { wire: Wire; hello: Hello; remote: { address: string; port: number } | null },
  ): HostedSession | [ByeReason, string] {
    const known = this.#roster.find(id);
    // Over datagrams some time has passed since its hello.
    const problem = known === undefined ? this.#problemOf(hello) : null;
    if (problem !== null) return problem;
    try {
      const session = known ?? HostedSession.begin(this.#host, id, null);
      const offence = session.awake().come(wire, hello, remote);
      if (offence === null) return session;
      return [offence.by === "peer" ? "protocol-error" : "evicted", offence.text];
    } catch (error) {
      return ["evicted", unkept(error).text];
    }
  }

  #problemOf(hello: Hello): [ByeReason, string] | null {
    if (hello.version !== protocolVersion) return ["version", `version ${protocolVersion} is spoken here`];
    const { maxSilenceMs, maxSessions } = this.#settings;
    if (hello.sendEveryMs > maxSilenceMs)
      return ["no-agreement", `an interval of ${hello.sendEveryMs} ms is longer than ${maxSilenceMs} ms`];
    // A client that is less patient than our answers are quick would never be content.
    if (hello.deadlineMs < 100)
      return ["no-agreement", `a deadline of ${hello.deadlineMs} ms is less than 100 ms`];
    if (hello.session === null && hello.received > 0)
      return ["protocol-error", "a new session in which something was received"];
    if (hello.session === null)
      return this.#roster.size >= maxSessions
        ? ["evicted", `${maxSessions} sessions are here already`]
        : null;
    const known =
      this.#roster.find(hello.session) !== undefined && this.#tokens.belongs(hello.token, hello.session);
    return known ? null : ["unknown-session", "no such session, or not yours"];
  }

  #hello(id: Uint8Array, received: number, key: Uint8Array): Hello {
    return {
      type: "hello",
      version: protocolVersion,
      sendEveryMs: 0,
      deadlineMs: this.#settings.deadlineMs,
      maxPayload: this.#settings.maxPayload,
      received,
      session: id,
      token: this.#tokens.of(id),
      key,
    };
  }

  #doorHost(): DoorHost {
    return {
      agenda: this.#agenda,
      settings: this.#settings,
      problemOf: (hello) => this.#problemOf(hello),
      refused: (remote, problem) => tell(this, "refused", endpoint(remote), problem),
      hello: (hello, key) => {
        const id = Buffer.from(hello.session ?? this.#ids.draw());
        const received = this.#roster.find(id)?.received ?? 0;
        return { id: id.toString("hex"), answer: this.#hello(id, received, key) };
      },
      arrived: (id, wire, hello, remote) => {
        const bytes = Buffer.from(id, "hex");
        const known = this.#roster.find(bytes) !== undefined;
        const session = this.#arrive(bytes, { wire, hello, remote });
        if (!(session instanceof HostedSession)) {
          tell(this, "refused", endpoint(remote), session[1]);
          return session;
        }
        tell(this, known ? "resumed" : "session", session);
        session.awake().go(hello.received);
        return session;
      },
    };
  }

  // What sessions need.

  #sessionHost(): SessionHost {
    return {
      settings: this.#settings,
      agenda: this.#agenda,
      roster: this.#roster,
      standstill: () => this.#standstill,
      journalled: this.#options.store !== undefined,
      plainAnswers: () => this.#answer === null,
      journal: (id): SessionJournal | null => this.#options.store?.journal(id) ?? null,
      beatsFor: (sendEveryMs) => this.#beatsFor(sendEveryMs),
      linger: (wire, last) => {
        last?.();
        const connection = wire.socket === null ? null : connectionOn(wire.socket);
        if (connection === null) wire.end();
        else connection.linger();
      },
      unpark: (fd, session) => this.#connect(socketOn(fd), session).wire,
      farewell: ({ shift, slot }, last) => {
        shift.replace(slot, {
          handedBack: ({ fd, unsent }) => {
            if (fd === null) return;
            const connection = this.#connect(socketOn(fd), null);
            if (unsent !== null) connection.socket.write(unsent);
            connection.wire.send(last);
            connection.linger();
          },
        });
        shift.recall(slot);
      },
      answer: (session) => {
        const say = this.#answer;
        return payloadOf(say === null ? null : () => say(session));
      },
      payload: (session, payload) => tell(this, "payload", session, payload),
      data: (session, payload, sequence) => this.emit("data", session, payload, sequence),
      dropped: (session, payload) => tell(this, "dropped", session, payload),
      suspect: (session) => tell(this, "suspect", session),
      resumed: (session) => tell(this, "resumed", session),
      offline: (session, verdict) => tell(this, "offline", session, verdict),
      ended: (session, why, text) => {
        this.#roster.leave(session.row);
        this.#door.forget(session);
        this.#kept(() => this.#options.store?.journal(session.id).ended());
        tell(this, "end", session, why, text);
      },
    };
  }

  /** What the store throws where nobody has asked for anything. */
  #kept(write: () => void): void {
    try {
      write();
    } catch (error) {
      process.emitWarning(unkept(error).text, "DeadpeerWarning");
    }
  }

  #beatsFor(sendEveryMs: number): BeatSettings {
    const present = this.#beats.get(sendEveryMs);
    if (present !== undefined) return present;
    const settings = patientWith(this.#settings.beats, sendEveryMs);
    if (this.#beats.size < mostSettings) this.#beats.set(sendEveryMs, settings);
    return settings;
  }
}

/** Slots cost memory only once they are used, but there must be an end. */
const mostSlots = 1 << 20;
/** Those with which the lot's workers wait for whoever comes. */
const slotsToSpare = 1_024;

/**
 * Connections that wait to be accepted: after an outage all clients come at once, and those that find no room here try again only a
 * second later. The kernel has a limit of its own, net.core.somaxconn, 4096 by default.
 */
const backlog = 4_096;

/** Answers are small and wait for nobody. */
const streamOptions = { noDelay: true, allowHalfOpen: false } as const;

function socketOn(fd: number): Socket {
  return new Socket({ fd, allowHalfOpen: false });
}

function addressOf({ remoteAddress, remotePort = 0 }: Partial<Socket>): string {
  return textOf(remoteAddress === undefined ? null : { address: remoteAddress, port: remotePort });
}

/** Of a peer that has gone, the address may be unknown. */
function textOf(remote: { readonly address: string; readonly port: number } | null): string {
  return endpoint(remote ?? { address: "somebody", port: 0 });
}

function endpoint({ address, port }: { readonly address: string; readonly port: number }): string {
  return isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`;
}

async function bound(
  socket: DatagramSocket,
  { port, host, signal }: { port: number; host: string | undefined; signal: AbortSignal },
): Promise<DatagramSocket> {
  try {
    socket.bind({ port, ...(host === undefined ? {} : { address: host }) });
    await once(socket, "listening", { signal });
    return socket;
  } catch (error) {
    socket.close();
    throw error;
  }
}
