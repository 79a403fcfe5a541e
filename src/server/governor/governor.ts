import cluster from "node:cluster";
import { EventEmitter } from "node:events";
import type { Server, Socket } from "node:net";
import { Server as TlsServer } from "node:tls";
import { DeadpeerError } from "../../errors.js";
import { closeOnAbort, forgetOnAbort } from "../../guard/closing.js";
import { innerSocket } from "../../guard/inner-socket.js";
import { guardListener, type ListenerGuard } from "../../guard/listener.js";
import { systemClock } from "../../kernel/clock.js";
import type { TimerClock } from "../../time/clock.js";
import type { Verdict } from "../../verdict/verdict.js";
import type { EvictionReason } from "./assess.js";
import { addressKey } from "./client-key.js";
import type { LimitReason } from "./clients.js";
import { ClusterDoor } from "./cluster-door.js";
import { type HeldConnection, describe, verdictOn } from "./connection-facts.js";
import { Counters, type GovernorSnapshot } from "./counters.js";
import { Custodian } from "./custodian.js";
import { Drain, type DrainOptions, type DrainReport } from "./drain.js";
import { closeAfter, type Held, heldBy } from "./held.js";
import { type Interception, intercept } from "./intercept.js";
import { socketBelow } from "./internals.js";
import { type GovernorPolicy, type GovernorSettings, governorSettings } from "./policy.js";
import type { RefusalReason } from "./reasons.js";
import { listeningServer } from "./server-behind.js";
import { HeldSession } from "./session.js";
import { mostInactive, Victims } from "./victims.js";

export interface GovernorOptions {
  /** Ends the governor, as `close()` does. */
  readonly signal?: AbortSignal;
  /** Default: the system's clocks. */
  readonly clock?: TimerClock;
}

/** A connection that was not taken. */
export interface Refusal {
  readonly reason: RefusalReason;
  readonly address: string;
  /** Whom it counts as; null: that was not known yet. */
  readonly client: string | null;
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

/** Holds a server's connections to a policy; made by `governServer`. */
export class Governor extends EventEmitter<GovernorEvents> implements Disposable {
  readonly #server: Server;
  readonly #secure: boolean;
  readonly #settings: GovernorSettings;
  readonly #clock: TimerClock;
  readonly #signal: AbortSignal | undefined;
  readonly #custodian: Custodian;
  readonly #victims = new Victims();
  readonly #counters = new Counters();
  readonly #interception: Interception;
  readonly #listener: ListenerGuard | null;
  readonly #door: ClusterDoor | null;
  #drain: Drain | null = null;
  #closed = false;

  /** Use `governServer`. */
  constructor(server: Server, settings: GovernorSettings, { signal, clock = systemClock }: GovernorOptions) {
    super();
    this.#server = server;
    this.#secure = server instanceof TlsServer;
    this.#settings = settings;
    this.#clock = clock;
    this.#signal = signal;
    const host = {
      evicting: (held: Held, reason: EvictionReason) => this.#evicting(held, reason),
      gone: () => this.#drain?.gone(),
    };
    this.#custodian = new Custodian(settings, host, clock);
    this.#door = settings.cluster && cluster.isWorker ? this.#clusterDoor() : null;
    this.#listener = settings.detect === null ? null : guardListener(server, settings.detect);
    this.#listener?.on("error", (error) => this.emit("error", error));
    this.#interception = intercept(server, {
      arrived: (socket) => this.#arrived(socket),
      secured: (socket) => {
        const below = socketBelow(socket);
        const held = below === null ? null : heldBy(below);
        if (held === null) return;
        held.secured(socket);
        this.#custodian.lookSoon(held);
      },
      session: (session) => {
        const held = heldBy(innerSocket(session));
        if (held !== null) held.session = new HeldSession(session);
      },
      stream: (stream) => {
        if (stream.session !== undefined) heldBy(innerSocket(stream.session))?.session?.add(stream);
      },
      request: (request, response) => {
        if (request.httpVersionMajor < 2 && heldBy(request.socket)?.retiring != null) closeAfter(response);
        return true;
      },
      upgrade: () => true,
    });
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
    try {
      const held = heldBy(innerSocket(thing));
      return held === null || !this.#custodian.all.has(held) ? null : this.#describe(held);
    } catch {
      return null;
    }
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
   */
  drain(options: DrainOptions = {}): Promise<DrainReport> {
    this.#drain ??= new Drain(this.#server, this.#custodian, options);
    if (options.now === true) this.#drain.hurry();
    return this.#drain.done;
  }

  /** Lets go of the server and its connections, which live on without limits. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#interception.undo();
    this.#listener?.close();
    this.#door?.close();
    this.#custodian.close();
    if (this.#signal !== undefined) forgetOnAbort(this.#signal, this);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #arrived(socket: Socket): void {
    const address = socket.remoteAddress ?? "";
    if (this.#drain !== null) {
      this.#refuse(socket, "draining", address, null);
      return;
    }
    const key = this.#keyOf(address, socket.remotePort ?? 0);
    if (this.#door === null) this.#decided(socket, this.#ask(key), address, key);
    else this.#door.ask(socket, key, (reason) => this.#answered(socket, reason, address, key));
  }

  /** The cluster's primary has decided; the connection, or this governor, may be gone meanwhile. */
  #answered(socket: Socket, reason: LimitReason | null, address: string, key: string): void {
    if (this.#closed) this.#interception.handOn(socket);
    else if (reason !== null || (!socket.destroyed && this.#drain === null))
      this.#decided(socket, reason, address, key);
    else {
      this.#door?.gone(key);
      this.#refuse(socket, "draining", address, key);
    }
  }

  #decided(socket: Socket, reason: LimitReason | null, address: string, key: string): void {
    if (reason !== null) {
      this.#refuse(socket, reason, address, key);
      return;
    }
    this.#counters.accepted++;
    const held = this.#custodian.take(socket, key, this.#secure);
    this.#interception.handOn(socket);
    this.#custodian.lookAt(held);
  }

  #ask(key: string): LimitReason | null {
    const { clients, nowMs } = this.#custodian;
    const reason = clients.ask(key, nowMs);
    if (reason === null || reason === "rate" || !this.#settings.evict) return reason;
    return this.#makeRoom(reason === "total" ? null : key) ? null : reason;
  }

  /** Ends the connection that has been inactive for longest, of one client or (null) of all; false: none can be. */
  #makeRoom(key: string | null): boolean {
    const { clients, all, nowMs } = this.#custodian;
    const victim =
      key === null ? this.#victims.next(all, nowMs) : mostInactive(clients.client(key)?.first ?? null, nowMs);
    if (victim === null) return false;
    this.#custodian.evict(victim, key === null ? "total" : "per-client");
    return true;
  }

  #clusterDoor(): ClusterDoor {
    const { clients } = this.#custodian;
    const door = new ClusterDoor({
      server: this.#server,
      limits: this.#settings.counts,
      clients,
      clock: this.#clock,
      evict: this.#settings.evict,
      ask: (key) => this.#ask(key),
      makeRoom: (key) => this.#makeRoom(key),
      alone: (problem) => {
        // Whoever has not built it so ought to see it.
        if (!this.emit("alone", problem)) process.emitWarning(problem.message, { code: problem.code });
      },
    });
    clients.left = (key) => door.gone(key);
    return door;
  }

  #keyOf(address: string, port: number): string {
    const { key, ipv6Prefix } = this.#settings.client;
    if (!this.#custodian.clients.counting) return "";
    if (key !== null)
      try {
        return key({ address, port });
      } catch (error) {
        this.emit("error", error as Error);
      }
    return addressKey(address, ipv6Prefix);
  }

  #refuse(socket: Socket, reason: RefusalReason, address: string, client: string | null): void {
    this.#counters.refused[reason]++;
    // Nobody else knows of it.
    socket.on("error", ignore);
    socket.destroy();
    if (this.listenerCount("refused") > 0) this.emit("refused", { reason, address, client });
  }

  #evicting(held: Held, reason: EvictionReason): void {
    this.#counters.evicted[reason]++;
    if (this.listenerCount("evicted") === 0) return;
    const connection = this.#describe(held);
    const verdict = verdictOn(held, reason, this.#settings, this.#clock.now(), connection.ageMs);
    process.nextTick(() => this.emit("evicted", connection, verdict, reason));
  }

  #describe(held: Held): HeldConnection {
    return describe(held, this.#custodian.nowMs, this.#settings.client.ipv6Prefix);
  }
}

function ignore(): void {}

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
