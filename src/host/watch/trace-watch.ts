import type { ListedConnection } from "./connection-table.js";
import { ConnectionTable } from "./connection-table.js";
import { type Death, DeathFinder } from "./death-finder.js";
import { LastWords } from "./last-words.js";
import { ListKeeper } from "./list-keeper.js";
import { ObituaryWriter, type WrittenObituary } from "./obituary-writer.js";
import type { Places, WatchedPlace } from "./places.js";
import { Suspensions } from "./suspensions.js";
import { Tasks } from "./tasks.js";
import type { TraceEvent } from "./trace-events.js";
import type { TraceSource } from "./trace-source.js";

/** The error, if any, comes in the same call of the kernel as the end … */
const leastWaitNs = 5_000_000;
/** … and the kernel's last word on the socket soon after its program has closed it: a worker of the kernel's sends it. */
const mostWaitNs = 100_000_000;
/** A program that has an error to read takes longer to close it; one that takes its time is asked instead. */
const mostWaitForErrorNs = 300_000_000;
/** A connection that is not listed any more has its events read by then. */
const vanishedForMs = 1_000;

/** Obituaries from the kernel's events, with what its lists and its last words add. */
export class TraceWatch implements Disposable {
  readonly #source: TraceSource;
  readonly #places: Places;
  readonly #table = new ConnectionTable();
  readonly #finder = new DeathFinder();
  readonly #tasks = new Tasks(({ namespaceId }) => this.#keeper.meet(namespaceId));
  readonly #words = new LastWords();
  readonly #suspensions = new Suspensions();
  readonly #keeper: ListKeeper;
  readonly #writer: ObituaryWriter;
  /** In the order of time, and when each was first seen: this process may have been late itself. */
  readonly #waiting = new Map<Death, number>();
  readonly #vanished = new Map<ListedConnection, { readonly atMs: number; readonly lostBefore: number }>();
  /** How many events had been lost when each place was last looked at. */
  readonly #lostAtLook = new WeakMap<WatchedPlace, number>();

  /** @param source whose owner this is from now on; it should have been listening already. */
  constructor(source: TraceSource, places: Places, nowMs: number) {
    this.#source = source;
    this.#places = places;
    this.#keeper = new ListKeeper(this.#table, places, false);
    this.#writer = new ObituaryWriter({
      table: this.#table,
      places,
      tasks: this.#tasks,
      suspensions: this.#suspensions,
      sees: source.sees,
    });
    this.#keeper.begin(nowMs);
  }

  /** What could not be seen, one line each. */
  get gaps(): readonly string[] {
    const { refusal } = this.#keeper;
    return refusal === null ? this.#source.gaps : [...this.#source.gaps, refusal];
  }

  get lostEvents(): number {
    return this.#source.lost;
  }

  get lostWords(): number {
    return this.#words.lost;
  }

  get listed(): number {
    return this.#table.size;
  }

  /** Reads what there is, and writes the obituaries that can be written by now. */
  step(nowMs: number): WrittenObituary[] {
    const { events, completeNs } = this.#source.read();
    for (const event of events) this.#take(event, completeNs);
    this.#words.collect(this.#places, nowMs);
    const written = this.#settle(completeNs);
    this.#lookAround(nowMs, written);
    this.#finder.forget(completeNs);
    this.#tasks.forget(completeNs);
    this.#suspensions.step(nowMs);
    return written;
  }

  /** Writes what is left: nothing more will be heard. */
  end(nowMs: number): WrittenObituary[] {
    this.#source.countLost();
    return [...this.step(nowMs), ...this.#settle(Number.POSITIVE_INFINITY)];
  }

  #take(event: TraceEvent, seenNs: number): void {
    if (event.kind === "exit") this.#tasks.end(event.tid, event.name, event.timeNs);
    else if (event.kind !== "error" && event.itself) this.#tasks.meet(event.tid);
    const death = this.#finder.take(event);
    if (death !== null) this.#waiting.set(death, seenNs);
  }

  #settle(completeNs: number): WrittenObituary[] {
    const written: WrittenObituary[] = [];
    for (const [death, seenNs] of this.#waiting) {
      // Those behind it are younger still.
      if (completeNs - death.atNs < leastWaitNs) break;
      const { errno, destroyedNs } = death;
      const mostNs = errno !== null && destroyedNs === null ? mostWaitForErrorNs : mostWaitNs;
      const waitedNs = completeNs - Math.max(seenNs, destroyedNs ?? 0);
      const cookie = death.cookie ?? this.#writer.listedOf(death)?.cookie ?? null;
      const spoken = cookie !== null && this.#words.has(cookie);
      if (!spoken && waitedNs < mostNs) continue;
      this.#waiting.delete(death);
      this.#finder.settle(death);
      const listed = this.#writer.listedOf(death);
      const word = cookie === null ? null : this.#words.take(cookie);
      written.push(this.#writer.write(death, listed, word));
      if (listed !== null) this.#keeper.remove(listed);
    }
    return written;
  }

  /**
   * What is not listed any more has died, and its obituary is written or about to be. If events were lost meanwhile it may have been
   * among them.
   */
  #lookAround(nowMs: number, written: WrittenObituary[]): void {
    const look = this.#keeper.step(nowMs);
    if (look !== null) {
      const lostBefore = this.#lostAtLook.get(look.place) ?? 0;
      for (const listed of look.vanished)
        if (!this.#vanished.has(listed)) this.#vanished.set(listed, { atMs: nowMs, lostBefore });
      this.#lostAtLook.set(look.place, this.#source.lost);
    }
    for (const [listed, { atMs, lostBefore: before }] of this.#vanished) {
      if (nowMs - atMs < vanishedForMs) break;
      this.#vanished.delete(listed);
      if (this.#table.withCookie(listed.cookie) !== listed) continue;
      this.#keeper.remove(listed);
      if (this.#source.lost > before)
        written.push(this.#writer.writeVanished(listed, this.#words.take(listed.cookie), false, atMs));
    }
  }

  close(): void {
    this.#source.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
