import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Exploration, type Trial } from "../../../src/client/nat/exploration.js";
import { Search } from "../../../src/client/nat/search/search.js";
import { VirtualClock } from "../../../src/time/virtual-clock.js";

const patienceMs = 5_000;
const lookMs = 250;

/** A path that forgets after `idleMs`, and a server that takes `room` connections at once. */
class World {
  readonly clock = new VirtualClock();
  readonly search = new Search({ maxMs: 600_000, lanes: 20, precisionMs: null });
  readonly exploration: Exploration;
  open = 0;
  mostOpen = 0;
  opened = 0;

  constructor(idleMs: number, room = Infinity) {
    this.exploration = new Exploration({
      search: this.search,
      attempt: async (silentMs) => {
        if (this.open >= room) return { outcome: { kind: "void" }, stood: false };
        this.opened++;
        this.mostOpen = Math.max(this.mostOpen, ++this.open);
        try {
          return await this.#trial(silentMs, idleMs);
        } finally {
          this.open--;
        }
      },
      patienceMs: () => patienceMs,
      now: () => this.clock.monotonic(),
      rest: () => this.#wait(1_000),
    });
  }

  /** Runs to the end, an hour of virtual time at most. */
  async run(): Promise<number> {
    const ended = { atMs: -1 };
    const running = this.exploration.run().finally(() => (ended.atMs = this.clock.monotonic()));
    running.catch(() => {});
    for (let minute = 0; minute < 60 && ended.atMs < 0; minute++) await this.clock.advance(60_000);
    assert.ok(ended.atMs >= 0, "it does not end");
    await running;
    assert.equal(this.clock.pending, 0);
    return ended.atMs;
  }

  async #trial(silentMs: number, idleMs: number): Promise<Trial> {
    for (let waitedMs = 0; waitedMs < silentMs; ) {
      if (!this.search.wants(silentMs)) return { outcome: { kind: "void" }, stood: true };
      const nextMs = Math.min(lookMs, silentMs - waitedMs);
      await this.#wait(nextMs);
      waitedMs += nextMs;
    }
    if (silentMs <= idleMs) return { outcome: { kind: "survived", silentMs }, stood: true };
    await this.#wait(patienceMs);
    return { outcome: { kind: "lost", how: "silent", silentMs }, stood: true };
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => this.clock.set(resolve, ms));
  }
}

describe("a search carried out", () => {
  test("an NLB's 350 s in less than 14 minutes, with 20 connections at once and 40 in all", async () => {
    const world = new World(350_000);
    const tookMs = await world.run();
    const { survivedMs, lostMs } = world.search.bracket;
    assert.ok(survivedMs <= 350_000 && (lostMs ?? 0) > 350_000 && (lostMs ?? 0) - survivedMs <= 17_500);
    assert.ok(tookMs < 14 * 60_000, `${tookMs} ms`);
    assert.equal(world.mostOpen, 20);
    assert.ok(world.opened <= 40, String(world.opened));
  });

  test("what is left never takes longer than it said", async () => {
    const world = new World(20_000);
    const running = world.run();
    await Promise.resolve();
    const { remainingMs, waiting } = world.exploration.progress;
    assert.equal(waiting, 20);
    assert.ok((await running) <= remainingMs, String(remainingMs));
    assert.deepEqual(world.exploration.progress.waiting, 0);
  });

  test("a server that takes few connections is measured with few", async () => {
    const world = new World(60_000, 6);
    await world.run();
    const { survivedMs, lostMs } = world.search.bracket;
    assert.ok(survivedMs <= 60_000 && (lostMs ?? 0) > 60_000 && (lostMs ?? 0) - survivedMs <= 3_100);
    assert.equal(world.mostOpen, 6);
  });

  test("a server that takes none is said to", async () => {
    await assert.rejects(new World(60_000, 0).run(), {
      code: "measurement-void",
      message: /^the server ended every connection within a second, or had no room for it$/,
    });
  });
});
