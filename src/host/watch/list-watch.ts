import { ConnectionTable } from "./connection-table.js";
import { LastWords } from "./last-words.js";
import { ListKeeper } from "./list-keeper.js";
import { ObituaryWriter, type WrittenObituary } from "./obituary-writer.js";
import type { Places } from "./places.js";
import { Suspensions } from "./suspensions.js";
import { Tasks } from "./tasks.js";

/** Obituaries where there are no events: of what was in the kernel's list and then was not. What comes and goes in between is missed. */
export class ListWatch implements Disposable {
  readonly #places: Places;
  readonly #words = new LastWords();
  readonly #keeper: ListKeeper;
  readonly #writer: ObituaryWriter;
  readonly #table = new ConnectionTable();

  constructor(places: Places, nowMs: number) {
    this.#places = places;
    this.#keeper = new ListKeeper(this.#table, places, true);
    this.#writer = new ObituaryWriter({
      table: this.#table,
      places,
      tasks: new Tasks(),
      suspensions: new Suspensions(),
      sees: { errors: false, resetsReceived: false, resetsSent: false },
    });
    this.#keeper.begin(nowMs);
  }

  get gaps(): readonly string[] {
    const { refusal } = this.#keeper;
    return refusal === null ? [] : [refusal];
  }

  get lostEvents(): number {
    return 0;
  }

  get lostWords(): number {
    return this.#words.lost;
  }

  get listed(): number {
    return this.#table.size;
  }

  step(nowMs: number): WrittenObituary[] {
    this.#words.collect(this.#places, nowMs);
    const look = this.#keeper.step(nowMs);
    if (look === null) return [];
    return look.vanished.map((listed) => {
      this.#keeper.remove(listed);
      const word = this.#words.take(listed.cookie);
      return this.#writer.writeVanished(listed, word, look.waiting.has(listed.key), nowMs);
    });
  }

  end(nowMs: number): WrittenObituary[] {
    return this.step(nowMs);
  }

  close(): void {}

  [Symbol.dispose](): void {
    this.close();
  }
}
