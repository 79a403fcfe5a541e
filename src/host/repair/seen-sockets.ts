import type { SocketRecord } from "../../kernel/sock-diag.js";
import type { Place } from "../places.js";

type Cookie = SocketRecord["plainCookie"];

/** Which sockets of a host are new since the last look. Remembers those of one look only. */
export class SeenSockets {
  #before = new Map<string, Set<Cookie>>();
  #now = new Map<string, Set<Cookie>>();
  #lookedAgain = new Set<string>();

  /** Takes note of it. One that no process holds does not count until one does. */
  isNew(socket: SocketRecord, { namespace }: Pick<Place, "namespace">): boolean {
    if (socket.inode === 0) return false;
    const netnsId = namespace?.id ?? "";
    let now = this.#now.get(netnsId);
    if (now === undefined) {
      now = new Set();
      this.#now.set(netnsId, now);
    }
    const cookie = socket.plainCookie;
    now.add(cookie);
    return this.#before.get(netnsId)?.has(cookie) !== true;
  }

  /** It will be new once more, and not a third time. */
  lookAgain(cookie: string): void {
    if (this.#lookedAgain.has(cookie)) return;
    this.#lookedAgain.add(cookie);
    for (const cookies of this.#now.values()) if (!cookies.delete(Number(cookie))) cookies.delete(cookie);
  }

  /** From here on a new look begins. */
  turn(): void {
    this.#before = this.#now;
    this.#now = new Map();
  }

  /** Whether it was there at this look. */
  isThere(cookie: string): boolean {
    return [...this.#now.values()].some((cookies) => cookies.has(Number(cookie)) || cookies.has(cookie));
  }
}
