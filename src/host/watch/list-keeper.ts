import { DeadpeerError } from "../../errors.js";
import { socketHolders } from "../../kernel/processes.js";
import { dumpSockets } from "../../kernel/sock-diag.js";
import type { TcpState } from "../../kernel/tcp-states.js";
import { SettingsReader } from "../settings-reader.js";
import { connectionStates } from "../states.js";
import { monotonicMs } from "./clock.js";
import { type ConnectionTable, endsOfListed, type ListedConnection } from "./connection-table.js";
import type { Places, WatchedPlace } from "./places.js";

/** Looking costs what there is to see, so it pauses for this many times the processor time that it took. */
const pauseFactor = 19;
/** However little there is to see, nobody looks more often. */
const shortestPauseMs = 1_000;
/** Some 10 us each. */
const settingsAtOnce = 500;
/** In how many searches a socket's process may stay unfound: it may be on its way from one to another. */
const searches = 2;

/** What one look at a place's list has found. */
export interface Look {
  readonly place: WatchedPlace;
  /** Were there before and are no more. */
  readonly vanished: readonly ListedConnection[];
  /** Ends of the connections that wait out TIME_WAIT; empty unless asked for. */
  readonly waiting: ReadonlySet<string>;
}

/**
 * Keeps a table of the host's connections up to date from the kernel's lists, with the processes that hold them and the settings
 * that their sockets have; at a pace that costs a small part of a processor however many there are.
 */
export class ListKeeper {
  readonly #table: ConnectionTable;
  readonly #places: Places;
  readonly #states: readonly TcpState[];
  readonly #discovery = new Pace();
  readonly #search = new Pace();
  readonly #looks = new Pace(0);
  /** Held by somebody whom nobody has looked for yet, and how often they have been looked for in vain. */
  readonly #unfound = new Map<ListedConnection, number>();
  readonly #unread = new Set<ListedConnection>();
  #refusal: string | null = null;
  #hidden = 0;

  /** @param timeWait whether connections in TIME_WAIT are of interest. */
  constructor(table: ConnectionTable, places: Places, timeWait: boolean) {
    this.#table = table;
    this.#places = places;
    this.#states = timeWait ? connectionStates : connectionStates.filter((state) => state !== "TIME_WAIT");
  }

  /** Why settings could not be read, or processes not be seen; null: they could. */
  get refusal(): string | null {
    return this.#hidden > 0 ? "other users' processes may not be looked into; run as root" : this.#refusal;
  }

  /** Looks at everything there is, however long it takes. */
  begin(nowMs: number): void {
    this.#places.discover();
    for (const place of this.#places) this.#look(place, nowMs);
    this.#findHolders();
    this.#readSettings(this.#unread.size);
  }

  /** Somebody is in this namespace; one that is new is looked at before what happens there is over. */
  meet(namespaceId: string | null): void {
    if (this.#places.isNews(namespaceId)) this.#discover();
  }

  /** Does what is due, little at a time. */
  step(nowMs: number): Look | null {
    this.#discovery.when(nowMs, () => this.#discover());
    let look: Look | null = null;
    const place = this.#mostUrgent(nowMs);
    if (place !== null) this.#looks.when(nowMs, () => (look = this.#look(place, nowMs)));
    if (this.#unfound.size > 0) this.#search.when(nowMs, () => this.#findHolders());
    if (this.#unread.size > 0) this.#readSettings(settingsAtOnce);
    return look;
  }

  /** Drops one whose obituary is written, or that will never have one. */
  remove(listed: ListedConnection): void {
    this.#table.remove(listed);
    this.#unfound.delete(listed);
    this.#unread.delete(listed);
  }

  #discover(): void {
    for (const place of this.#places.discover()) this.#forget(place);
  }

  #mostUrgent(nowMs: number): WatchedPlace | null {
    let urgent: WatchedPlace | null = null;
    for (const place of this.#places)
      if (place.dueMs <= nowMs && (urgent === null || place.dueMs < urgent.dueMs)) urgent = place;
    return urgent;
  }

  #look(place: WatchedPlace, nowMs: number): Look {
    const look = ++place.looks;
    place.dueMs = nowMs + shortestPauseMs;
    const waiting = new Set<string>();
    const sockets = listed(place, this.#states);
    if (sockets === null) {
      this.#places.drop(place);
      this.#forget(place);
      return { place, vanished: [], waiting };
    }
    // Not before: no socket is made out to be older than it is.
    const atMs = monotonicMs();
    for (const socket of sockets.passing()) {
      // TIME_WAIT and SYN_RECV are not the socket itself, and have no figures.
      if (socket.info === null) {
        if (socket.state === "TIME_WAIT") waiting.add(endsOfListed(socket));
        continue;
      }
      const connection = this.#table.update(socket, place, atMs, look);
      if (connection.inode !== 0 && connection.holders === null && !this.#unfound.has(connection))
        this.#unfound.set(connection, 0);
      if (connection.troubled && connection.holders !== null) this.#unread.add(connection);
    }
    const vanished = [...this.#table.in(place)].filter((known) => known.look !== look);
    // A list that changed all the while may leave some out.
    return { place, vanished: sockets.interrupted ? [] : vanished, waiting };
  }

  #findHolders(): void {
    const wanted = new Map<number, ListedConnection>();
    for (const connection of this.#unfound.keys()) wanted.set(connection.inode, connection);
    const { holders, unreadable } = socketHolders({ inodes: wanted });
    this.#hidden = unreadable;
    for (const [connection, tries] of this.#unfound) {
      const found = holders.get(connection.inode);
      if (found === undefined && tries + 1 < searches) {
        this.#unfound.set(connection, tries + 1);
        continue;
      }
      connection.holders = found ?? [];
      this.#unfound.delete(connection);
      if (found !== undefined) this.#unread.add(connection);
    }
  }

  #readSettings(most: number): void {
    using reader = new SettingsReader();
    let count = 0;
    for (const connection of this.#unread) {
      if (++count > most) break;
      this.#unread.delete(connection);
      connection.settings =
        reader.read({ cookie: BigInt(connection.cookie) }, connection.holders ?? []) ?? connection.settings;
    }
    this.#refusal = reader.refusal?.message ?? this.#refusal;
  }

  #forget(place: WatchedPlace): void {
    for (const connection of this.#table.in(place)) this.remove(connection);
  }
}

function listed(place: WatchedPlace, states: readonly TcpState[]): ReturnType<typeof dumpSockets> | null {
  try {
    return dumpSockets({ states, info: true }, place.own ? undefined : place.namespace);
  } catch (error) {
    // Gone meanwhile, or the process by which it was found is; then it is found again by another.
    if (error instanceof DeadpeerError && error.code === "no-namespace") return null;
    throw error;
  }
}

/** When something may be done again: after a pause that is in proportion to what it cost. */
class Pace {
  readonly #shortestMs: number;
  #dueMs = 0;

  constructor(shortestMs = shortestPauseMs) {
    this.#shortestMs = shortestMs;
  }

  when(nowMs: number, work: () => void): void {
    if (nowMs < this.#dueMs) return;
    // Not by the clock: a busy machine makes everything take longer, and is none the busier for it.
    const before = process.cpuUsage();
    work();
    const { user, system } = process.cpuUsage(before);
    const tookMs = (user + system) / 1_000;
    this.#dueMs = nowMs + Math.max(this.#shortestMs, tookMs * pauseFactor);
  }
}
