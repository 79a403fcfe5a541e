import type { SocketRecord } from "../../kernel/sock-diag.js";
import type { Cookie } from "./connection-table.js";
import type { WatchedPlace } from "./places.js";
import { type Sample, sampleOf } from "./sample.js";

/** What the kernel said of a socket when it freed it. */
export interface LastWord {
  readonly place: WatchedPlace;
  /** null: the socket had been disconnected, and its figures with it. Its time is when the word was read, a little late. */
  readonly sample: Sample | null;
}

/** A word that nobody has asked for by then is that of a listener, or of a connection whose obituary is written. */
const memoryMs = 5_000;
const most = 100_000;

/** The kernel's last words on sockets, kept until somebody asks. */
export class LastWords {
  readonly #words = new Map<Cookie, LastWord & { readonly atMs: number }>();
  #lost = 0;

  /** How often some were lost; not how many. */
  get lost(): number {
    return this.#lost;
  }

  collect(places: Iterable<WatchedPlace>, nowMs: number): void {
    for (const place of places) {
      if (place.notices === null) continue;
      const lost = place.notices.lost;
      place.notices.poll((socket) => this.#hear(socket, place, nowMs));
      this.#lost += place.notices.lost - lost;
    }
    for (const [cookie, { atMs }] of this.#words) {
      if (atMs > nowMs - memoryMs && this.#words.size <= most) break;
      this.#words.delete(cookie);
    }
  }

  #hear(socket: SocketRecord, place: WatchedPlace, atMs: number): void {
    const { info } = socket;
    const figures = info === null || socket.remotePort === 0 ? null : sampleOf(info, atMs);
    this.#words.set(socket.plainCookie, { place, sample: figures, atMs });
  }

  has(cookie: Cookie): boolean {
    return this.#words.has(cookie);
  }

  take(cookie: Cookie): LastWord | null {
    const word = this.#words.get(cookie) ?? null;
    this.#words.delete(cookie);
    return word;
  }
}
