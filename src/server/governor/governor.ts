import { EventEmitter } from "node:events";
import type { ServerResponse } from "node:http";
import type { Http2Session } from "node:http2";
import type { Server, Socket } from "node:net";
import { DeadpeerError } from "../../errors.js";
import { closeOnAbort, forgetOnAbort } from "../../guard/closing.js";
import { anyInnerSocket } from "../../guard/inner-socket.js";
import { guardListener, type ListenerGuard } from "../../guard/listener.js";
import { systemClock } from "../../kernel/clock.js";
import type { TimerClock } from "../../time/clock.js";
import type { Verdict } from "../../verdict/verdict.js";
import type { EvictionReason } from "./assess.js";
import { type HeldConnection, describe, verdictOn } from "./connection-facts.js";
import { Counters, type GovernorSnapshot } from "./counters.js";
import { Custodian } from "./custodian.js";
import { Drain, type DrainOptions, type DrainReport, drainSettings } from "./drain.js";
import { Entrance, type Refusal } from "./entrance.js";
import { closeAfter } from "./farewell.js";
import { HeaderClients } from "./header-clients.js";
import { type Held, heldBy } from "./held.js";
import { type Interception, type Interceptor, intercept } from "./intercept.js";
import { socketBelow, waitsInLine } from "./internals.js";
import { type GovernorPolicy, type GovernorSettings, governorSettings } from "./policy.js";
import { listeningServer } from "./server-behind.js";
import { HeldSession } from "./session.js";

export interface GovernorOptions {
  /** Ends the governor, as `close()` does. */
  readonly signal?: AbortSignal;
  /** Default: the system's clocks. */
  readonly clock?: TimerClock;
}

export interface GovernorEvents {
  /** A connection is ended by policy. */
  evicted: [connection: HeldConnection, verdict: Verdict, reason: EvictionReason];
  /** A connection is not taken. */
  refused: [refusal: Refusal];
  /** The primary of the cluster does not count: until it does, limits hold for this worker alone. */
  alone: [problem: DeadpeerError];
  /** The TCP settings could not be given to the listener, or `client.key` failed. Without a listener it is thrown. */
  error: [error: Error];
}

const governed = new WeakSet<Server>();

/** Holds a server's connections to a policy; made by `governServer`. */
export class Governor extends EventEmitter<GovernorEvents> implements Disposable {
  readonly #server: Server;
  readonly #settings: GovernorSettings;
  readonly #clock: TimerClock;
  readonly #signal: AbortSignal | undefined;
  readonly #custodian: Custodian;
  readonly #counters = new Counters();
  readonly #sessions = new WeakMap<Http2Session, HeldSession>();
  readonly #interception: Interception;
  readonly #listener: ListenerGuard | null;
  readonly #entrance: Entrance;
  readonly #headerClients: HeaderClients | null;
  #drain: Drain | null = null;
  #closed = false;

  /** Use `governServer`. */
  constructor(server: Server, settings: GovernorSettings, { signal, clock = systemClock }: GovernorOptions) {
    super();
    if (governed.has(server))
      throw new DeadpeerError("bad-option", "governServer: this server has a governor; close that one first");
    this.#server = server;
    this.#settings = settings;
    this.#clock = clock;
    this.#signal = signal;
    const custodian = new Custodian(
      settings,
      {
        evicting: (held, reason, atOnce) => this.#evicting(held, reason, atOnce),
        looking: () => this.#entrance.lookAtMemory(),
        left: (held) => this.#entrance.left(held),
        emptied: () => this.#drain?.emptied(),
      },
      clock,
    );
    this.#custodian = custodian;
    this.#entrance = new Entrance(server, settings, custodian, clock, {
      handOn: (socket) => this.#interception.handOn(socket),
      taken: (held) => {
        this.#counters.accepted++;
        this.#drain?.latecomer(held);
      },
      refused: (refusal) => this.#refused(refusal),
      alone: (problem) => {
        // Whoever has not built it so ought to see it.
        if (!this.emit("alone", problem)) process.emitWarning(problem.message, { code: problem.code });
      },
      // Where nobody listens it is thrown, and not into the middle of an arrival.
      error: (error) => process.nextTick(() => this.emit("error", error)),
    });
    const { header } = settings.client;
    this.#headerClients =
      header === null
        ? null
        : new HeaderClients(header, custodian, this.#entrance, (refusal) => this.#refused(refusal));
    this.#listener = settings.detect === null ? null : guardListener(server, settings.detect);
    this.#listener?.on("error", (error) => this.emit("error", error));
    this.#interception = intercept(server, this.#interceptor());
    governed.add(server);
    if (signal !== undefined) closeOnAbort(signal, this);
  }

  /** How many connections there are. */
  get size(): number {
    return this.#custodian.all.size;
  }

  /** Whether it is letting all connections go. */
  get draining(): boolean {
    return this.#drain !== null;
  }

  /** Whether it has let go of its server. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Who holds what: every connection, as it is now. */
  connections(): HeldConnection[] {
    return Array.from(this.#custodian.all, (held) => this.#describe(held));
  }

  /**
   * One connection, by its socket, or anything that has one inside: a request, a WebSocket, an HTTP/2 session.
   *
   * @returns null for one that is not held here.
   */
  connectionOf(thing: unknown): HeldConnection | null {
    const held = this.#heldBehind(thing);
    return held === null || !this.#custodian.all.has(held) ? null : this.#describe(held);
  }

  /** Counts and figures at this moment. */
  snapshot(): GovernorSnapshot {
    const { all, clients } = this.#custodian;
    return this.#counters.snapshot({
      connections: all.size,
      clients: clients.counting ? clients.size : null,
      draining: this.draining,
    });
  }

  /**
   * Lets the server go in order: it accepts no more, requests in flight are finished, clients are told, and each connection is
   * ended once it is quiet; what remains when the time is over is cut off. A second call gives the same promise, and with `now`
   * ends the rest at once.
   *
   * @throws DeadpeerError `bad-duration`, `bad-option`; `connection-closed` after `close()`.
   */
  drain(options: DrainOptions = {}): Promise<DrainReport> {
    const settings = drainSettings(options);
    if (this.#drain === null) {
      if (this.#closed) throw new DeadpeerError("connection-closed", "drain: this governor is closed");
      this.#drain = new Drain(this.#server, this.#custodian, settings, () => this.#entrance.cutOff());
      this.#drain.begin();
    }
    if (options.now === true) this.#drain.hurry();
    if (options.signal !== undefined) this.#drain.hurryOn(options.signal);
    return this.#drain.done;
  }

  /** Lets go of the server and its connections, which live on without limits. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    governed.delete(this.#server);
    this.#interception.undo();
    this.#listener?.close();
    this.#entrance.close();
    this.#drain?.end();
    this.#custodian.close();
    if (this.#signal !== undefined) forgetOnAbort(this.#signal, this);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #interceptor(): Interceptor {
    return {
      arrived: (socket) => this.#entrance.arrived(socket),
      secured: (socket) => {
        const below = socketBelow(socket);
        const held = below === null ? null : heldBy(below);
        if (held === null) return;
        held.secured(socket);
        this.#custodian.lookSoon(held);
      },
      session: (session) => {
        const held = this.#heldBehind(session);
        if (held === null) return;
        held.session = new HeldSession(session, () => this.#custodian.nowMs);
        this.#sessions.set(session, held.session);
        if (held.retiring !== null) this.#custodian.announceEnd(held);
      },
      stream: (stream) => {
        if (stream.session !== undefined) this.#sessions.get(stream.session)?.add(stream);
      },
      request: (request, response) => {
        if (request.httpVersionMajor < 2 && !this.#isInTime(request.socket, response)) return false;
        return this.#headerClients?.request(request, response) ?? true;
      },
      upgrade: (request, socket) => {
        const held = heldBy(socket);
        if (held !== null) held.upgradeAt = socket.bytesWritten;
        // By then ws has made a WebSocket of it.
        if (held !== null && held.retiring !== null) setImmediate(() => this.#custodian.announceEnd(held));
        return this.#headerClients?.upgrade(request, socket) ?? true;
      },
    };
  }

  /** @returns false: a response has already said that it was the last. The request is not carried out, as it cannot be answered. */
  #isInTime(socket: Socket, response: ServerResponse): boolean {
    const waits = waitsInLine(socket, response);
    if (!waits && !this.#custodian.retiring) return true;
    const held = heldBy(socket);
    if (held === null) return true;
    const inTime = held.retiring === null || closeAfter(held, response);
    if (waits && inTime) held.queued = response;
    return inTime;
  }

  #heldBehind(thing: unknown): Held | null {
    const socket = anyInnerSocket(thing);
    return socket === null ? null : heldBy(socket);
  }

  #refused(refusal: Refusal): void {
    this.#counters.refused[refusal.reason]++;
    if (this.listenerCount("refused") > 0) this.emit("refused", refusal);
  }

  #evicting(held: Held, reason: EvictionReason, atOnce: boolean): void {
    this.#counters.evicted[reason]++;
    if (atOnce && reason === "drain") this.#drain?.countCutOff();
    if (this.listenerCount("evicted") === 0) return;
    const connection = this.#describe(held);
    const verdict = verdictOn(held, reason, this.#settings, this.#clock.now(), connection.ageMs);
    process.nextTick(() => this.emit("evicted", connection, verdict, reason));
  }

  #describe(held: Held): HeldConnection {
    return describe(held, this.#custodian.nowMs, this.#settings.client.ipv6Prefix);
  }
}
/**
 * Holds every connection of a server to a policy: how long it may be idle, how long a handshake and a request's head may take, how
 * slowly a body may come, how old it may become, how many there may be, in all and of one client; and lets them all go in order.
 * Takes net, tls, http, https and http2 servers, and a WebSocketServer of ws; connections that were upgraded are held as well.
 * Connections that were accepted before are not.
 *
 * @throws DeadpeerError `bad-option`, `bad-duration`, `bad-address` for the policy, with the field named; `no-socket` for what is no
 *   server; `aborted`.
 * @example
 * const server = http.createServer(app).listen(8080);
 * const governor = governServer(server, { detect: "35s", idle: "5m", head: "10s", total: 10_000, perClient: 100 });
 * process.on("SIGTERM", () => governor.drain({ within: "10s" }));
 */
export function governServer(
  server: Server | { readonly clients?: unknown },
  policy: GovernorPolicy,
  options: GovernorOptions = {},
): Governor {
  if (options.signal?.aborted === true)
    throw new DeadpeerError("aborted", "governServer: the signal was already aborted");
  return new Governor(listeningServer(server), governorSettings(policy), options);
}
