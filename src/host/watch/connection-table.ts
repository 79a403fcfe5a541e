import type { SocketHolder } from "../../kernel/processes.js";
import type { DiagEndpoint, SocketRecord } from "../../kernel/sock-diag.js";
import type { TcpState } from "../../kernel/tcp-states.js";
import type { SeenSettings } from "../seen-settings.js";
import { endsKey } from "./ends.js";
import type { WatchedPlace } from "./places.js";
import { type Sample, sampleOf } from "./sample.js";

/** A socket's cookie as it is cheapest to hold (SocketRecord.plainCookie). */
export type Cookie = number | string;

/** A connection that is or was in the kernel's list. */
export interface ListedConnection {
  readonly cookie: Cookie;
  readonly key: string;
  readonly local: DiagEndpoint;
  readonly remote: DiagEndpoint;
  readonly place: WatchedPlace;
  /** It lived already at this moment, in milliseconds of CLOCK_MONOTONIC, as its own figures tell. */
  readonly livedAtMs: number;
  readonly cgroupId: bigint | null;
  /** 0: no process holds it, yet or any more. */
  inode: number;
  state: TcpState;
  /** As the kernel's list last showed it. */
  sample: Sample | null;
  /** A timer runs that means trouble: retransmissions, unanswered probes, a closed window. */
  troubled: boolean;
  settings: SeenSettings | null;
  /** null: not looked for yet. */
  holders: readonly SocketHolder[] | null;
  /** The number of the last look at its place that found it there. */
  look: number;
}

/**
 * What is known of the connections of all namespaces from the kernel's lists, to be found again when one dies: by its cookie, or by
 * its ends, which several namespaces may have in common.
 */
export class ConnectionTable {
  readonly #byCookie = new Map<Cookie, ListedConnection>();
  /** One or, rarely, several. */
  readonly #byKey = new Map<string, ListedConnection | ListedConnection[]>();
  readonly #byPlace = new Map<WatchedPlace, Set<ListedConnection>>();

  get size(): number {
    return this.#byCookie.size;
  }

  /** Takes note of a socket that was listed at a moment. */
  update(socket: SocketRecord, place: WatchedPlace, atMs: number, look: number): ListedConnection {
    const cookie = socket.plainCookie;
    const { info, state } = socket;
    const sample = info === null ? null : sampleOf(info, atMs);
    let listed = this.#byCookie.get(cookie);
    if (listed === undefined) {
      listed = {
        cookie,
        key: endsOfListed(socket),
        local: { address: socket.localAddress, port: socket.localPort },
        remote: { address: socket.remoteAddress, port: socket.remotePort },
        place,
        livedAtMs: atMs - (sample === null || state === "SYN_SENT" ? 0 : longestClock(sample)),
        cgroupId: socket.cgroupId,
        inode: 0,
        state,
        sample,
        troubled: false,
        settings: null,
        holders: null,
        look,
      };
      this.#add(listed);
    }
    listed.state = state;
    listed.inode = socket.inode;
    listed.sample = sample;
    listed.troubled = isTroubled(socket);
    listed.look = look;
    return listed;
  }

  withCookie(cookie: Cookie): ListedConnection | undefined {
    return this.#byCookie.get(cookie);
  }

  /** All that have these ends, in whatever namespace. */
  withEnds(key: string): readonly ListedConnection[] {
    const found = this.#byKey.get(key);
    return found === undefined ? [] : Array.isArray(found) ? found : [found];
  }

  /** Those of one namespace. */
  in(place: WatchedPlace): ReadonlySet<ListedConnection> {
    return this.#byPlace.get(place) ?? nothing;
  }

  remove(listed: ListedConnection): void {
    if (!this.#byCookie.delete(listed.cookie)) return;
    const neighbours = this.#byPlace.get(listed.place);
    neighbours?.delete(listed);
    if (neighbours?.size === 0) this.#byPlace.delete(listed.place);
    const others = this.withEnds(listed.key).filter((other) => other !== listed);
    const [first] = others;
    if (first === undefined) this.#byKey.delete(listed.key);
    else this.#byKey.set(listed.key, others.length === 1 ? first : others);
  }

  #add(listed: ListedConnection): void {
    this.#byCookie.set(listed.cookie, listed);
    const neighbours = this.#byPlace.get(listed.place);
    if (neighbours === undefined) this.#byPlace.set(listed.place, new Set([listed]));
    else neighbours.add(listed);
    const others = this.withEnds(listed.key);
    this.#byKey.set(listed.key, others.length === 0 ? listed : [...others, listed]);
  }
}

const nothing: ReadonlySet<ListedConnection> = new Set();

/** The key of a listed socket's ends. */
export function endsOfListed(socket: SocketRecord): string {
  return endsKey(socket.localAddress, socket.localPort, socket.remoteAddress, socket.remotePort);
}

/**
 * All of these start when a connection is established (tcp_create_openreq_child, tcp_finish_connect), so it is at least as old as the
 * one that stands highest.
 */
function longestClock({ lastDataSentMs, lastDataRecvMs, lastAckRecvMs }: Sample): number {
  return Math.max(lastDataSentMs, lastDataRecvMs, lastAckRecvMs);
}

function isTroubled({ timer: { kind }, retransmits }: SocketRecord): boolean {
  return kind === "zero-window" || (retransmits > 0 && (kind === "retransmit" || kind === "keepalive"));
}
