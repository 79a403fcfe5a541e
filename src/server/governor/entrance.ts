import cluster from "node:cluster";
import { type Server, Socket } from "node:net";
import { Server as TlsServer } from "node:tls";
import { inspect } from "node:util";
import { DeadpeerError } from "../../errors.js";
import type { TimerClock } from "../../time/clock.js";
import { addressKey } from "./client-key.js";
import type { LimitReason } from "./clients.js";
import { ClusterDoor } from "./cluster-door.js";
import type { Custodian } from "./custodian.js";
import { type Held, heldBy } from "./held.js";
import { addressOf } from "./networks.js";
import type { GovernorSettings, PeerAddress } from "./policy.js";
import { Pressure } from "./pressure.js";
import { ProxyDoor } from "./proxy-door.js";
import type { ProxyHeader } from "./proxy-protocol.js";
import type { RefusalReason } from "./reasons.js";
import { mostInactive, Victims } from "./victims.js";

/** A connection that was not taken. */
export interface Refusal {
  readonly reason: RefusalReason;
  readonly address: string;
  /** Whom it counts as; null: that was not known yet. */
  readonly client: string | null;
}

export interface EntranceHost {
  /** The server is given a connection. */
  handOn(socket: Socket): void;
  taken(held: Held): void;
  refused(refusal: Refusal): void;
  /** The cluster's primary does not count. */
  alone(problem: DeadpeerError): void;
  error(error: Error): void;
}

/** A connection on its way in. */
interface Arrival {
  readonly socket: Socket;
  readonly header: ProxyHeader | null;
  readonly preface: number;
  readonly address: string;
  /** null: a proxy's, whose clients its requests will name. */
  readonly key: string | null;
}

/** Idle connections that are shed at a time, for one that comes. */
const mostShed = 32;
/** Whoever was active so recently is not idle. */
const activeMs = 1_000;
const memoryLookMs = 1_000;

/** Where connections come in: through the doors of proxies and of the cluster, as far as the limits allow. */
export class Entrance {
  readonly #settings: GovernorSettings;
  readonly #custodian: Custodian;
  readonly #host: EntranceHost;
  readonly #secure: boolean;
  readonly #victims = new Victims();
  readonly #pressure: Pressure;
  readonly #proxyDoor: ProxyDoor | null;
  readonly #clusterDoor: ClusterDoor | null;
  #memoryLookedMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(
    server: Server,
    settings: GovernorSettings,
    custodian: Custodian,
    clock: TimerClock,
    host: EntranceHost,
  ) {
    this.#settings = settings;
    this.#custodian = custodian;
    this.#host = host;
    this.#secure = server instanceof TlsServer;
    this.#pressure = new Pressure(settings.pressure);
    this.#proxyDoor =
      settings.proxy === null
        ? null
        : new ProxyDoor(settings.proxy, custodian.agenda, {
            enter: (socket, header, length) => this.#enter(socket, header, length),
            refuse: (socket, reason) =>
              this.#refuse({ reason, address: addressOf(socket), client: null }, socket),
          });
    this.#clusterDoor =
      settings.cluster && cluster.isWorker && isLimited(settings.counts)
        ? new ClusterDoor({
            server,
            limits: settings.counts,
            clients: custodian.clients,
            clock,
            evict: settings.evict,
            ask: (key) => this.#ask(key),
            makeRoom: (key) => this.#makeRoom(key),
            alone: (problem) => host.alone(problem),
          })
        : null;
  }

  arrived(socket: Socket): void {
    // What is no socket, or is held already, comes from somebody who hands connections from one server to another.
    if (!(socket instanceof Socket) || heldBy(socket) !== null) this.#host.handOn(socket);
    else if (this.#proxyDoor === null) this.#enter(socket, null, 0);
    else if (this.#tooManyWait()) {
      this.#refuse({ reason: "total", address: addressOf(socket), client: null }, socket);
    } else this.#proxyDoor.arrive(socket);
  }

  /** A connection that was counted counts no more. */
  left({ askedAs }: Held): void {
    if (askedAs !== null) this.#clusterDoor?.gone(askedAs);
  }

  /** What a client is by its address, or by what the program makes of it. */
  keyOf(peer: PeerAddress): string {
    const { key, ipv6Prefix } = this.#settings.client;
    if (!this.#custodian.clients.counting) return "";
    if (key !== null)
      try {
        return textOf(key(peer));
      } catch (error) {
        this.#host.error(error as Error);
      }
    return addressKey(peer.address, ipv6Prefix);
  }

  /** Has a client's most inactive connection make room for another of its. */
  makeRoomFor(key: string): boolean {
    return this.#settings.evict && this.#makeRoom(key);
  }

  /** Those that wait at the doors are not waited for. */
  cutOff(): void {
    this.#proxyDoor?.close();
  }

  close(): void {
    this.#closed = true;
    this.#proxyDoor?.release();
    this.#clusterDoor?.close();
  }

  /** Before they are counted as anybody's: as many as may be held. */
  #tooManyWait(): boolean {
    const { total } = this.#settings.counts;
    return total !== null && (this.#proxyDoor?.size ?? 0) >= total;
  }

  #enter(socket: Socket, header: ProxyHeader | null, preface: number): void {
    if (this.#closed) {
      this.#host.handOn(socket);
      return;
    }
    const { address, port } = header?.source ?? { address: addressOf(socket), port: socket.remotePort ?? 0 };
    const names = this.#settings.client.header?.from.has(address) ?? false;
    const key = names ? null : this.keyOf({ address, port });
    const arrival: Arrival = { socket, header, preface, address, key };
    if (this.#isHardPressed()) this.#refuse({ reason: "pressure", address, client: key }, socket);
    else if (this.#clusterDoor === null || key === null) this.#decided(arrival, this.#ask(key), null);
    else this.#clusterDoor.ask(socket, key, (reason) => this.#answered(arrival, reason, key));
  }

  /** The cluster's primary has decided; the connection, or the governor, may be gone meanwhile. */
  #answered(arrival: Arrival, reason: LimitReason | null, key: string): void {
    if (this.#closed) this.#host.handOn(arrival.socket);
    else if (reason === null && arrival.socket.destroyed) this.#clusterDoor?.gone(key);
    else this.#decided(arrival, reason, key);
  }

  #decided(arrival: Arrival, reason: LimitReason | null, askedAs: string | null): void {
    const { socket, header, preface, address, key } = arrival;
    if (reason !== null) {
      this.#refuse({ reason, address, client: key }, socket);
      return;
    }
    const held = this.#custodian.take(socket, key, this.#secure);
    held.askedAs = askedAs;
    held.proxied = header;
    held.preface = preface;
    this.#host.taken(held);
    this.#host.handOn(socket);
    if (held.retiring === null) this.#custodian.lookAt(held);
  }

  #refuse(refusal: Refusal, socket: Socket): void {
    // Nobody else knows of it.
    socket.on("error", ignore);
    socket.destroy();
    this.#host.refused(refusal);
  }

  #ask(key: string | null): LimitReason | null {
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

  /** Sheds idle connections where something runs short; true: what is left is for those that are here. */
  #isHardPressed(): boolean {
    const { all, nowMs } = this.#custodian;
    const short = this.#pressure.descriptorsShort(all.size, nowMs);
    if (short > 0) this.#shed(Math.min(short + 1, mostShed));
    if (short > 0 && this.#pressure.descriptorsGone(all.size)) return true;
    this.lookAtMemory();
    return false;
  }

  /** Sheds idle connections where memory runs short; often enough called, it looks once a second. */
  lookAtMemory(): void {
    const { all, nowMs } = this.#custodian;
    if (nowMs - this.#memoryLookedMs < memoryLookMs) return;
    this.#memoryLookedMs = nowMs;
    if (this.#pressure.memoryShort) this.#shed(Math.max(mostShed, Math.ceil(all.size / 20)));
  }

  #shed(count: number): void {
    const { all, nowMs } = this.#custodian;
    for (let shed = 0; shed < count; shed++) {
      const victim = this.#victims.next(all, nowMs);
      if (victim === null || nowMs - victim.progressMs < activeMs) return;
      this.#custodian.cutOff(victim, "pressure");
    }
  }
}

/** Without limits there is nothing to ask a primary for. */
function isLimited({ total, perClient, newPerClient }: GovernorSettings["counts"]): boolean {
  return total !== null || perClient !== null || newPerClient !== null;
}

/** A promise, say, would make a client of each connection. */
function textOf(key: unknown): string {
  if (typeof key === "string") return key;
  throw new DeadpeerError(
    "bad-option",
    `client.key: it has to return text, not ${inspect(key, { depth: 0 })}`,
  );
}

function ignore(): void {}
