import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { DeadpeerError } from "../../../src/errors.js";
import type { WorkerMessage } from "../../../src/server/governor/cluster-messages.js";
import { workerMessageIn } from "../../../src/server/governor/cluster-messages.js";
import { type Answer, ClusterWorker } from "../../../src/server/governor/cluster-worker.js";
import { VirtualClock } from "../../../src/time/virtual-clock.js";

/** A worker and a primary's end that a test answers by hand. */
class Bed {
  readonly clock = new VirtualClock();
  readonly sent: WorkerMessage[] = [];
  readonly problems: DeadpeerError[] = [];
  readonly shed: (string | null)[] = [];
  readonly answers: (readonly [key: string, answer: Answer])[] = [];
  held: [string, number][] = [];
  open = true;
  #heard: (message: unknown) => void = () => {};
  readonly worker = new ClusterWorker({
    group: "g",
    limits: { total: 10, perClient: 2, newPerClient: null },
    clock: this.clock,
    channel: {
      send: (message) => {
        if (this.open) this.sent.push(message);
        return this.open;
      },
      listen: (heard) => {
        this.#heard = heard;
        return () => {};
      },
    },
    held: () => this.held,
    shed: (key) => this.shed.push(key),
    alone: (problem) => this.problems.push(problem),
  });

  ask(...keys: string[]): void {
    for (const key of keys) this.worker.ask(key, false, (answer) => this.answers.push([key, answer]));
  }

  /** The message that is on its way, after what was asked in this turn has been put together. */
  async next(): Promise<WorkerMessage> {
    await turn();
    const message = this.sent.shift();
    assert.ok(message !== undefined, "nothing was sent");
    return message;
  }

  answer(message: WorkerMessage, answers: readonly Answer[] = message.asks.map(() => null)): void {
    this.hear({ deadpeer: "governor", group: "g", number: message.number, answers });
  }

  hear(message: unknown): void {
    this.#heard(message);
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("a worker's governor and its primary", () => {
  test("what comes up while a message is on its way goes with the next, as one", async () => {
    const bed = new Bed();
    bed.ask("a", "b");
    const first = await bed.next();
    assert.deepEqual([first.limits?.total, first.asks.length], [10, 2]);
    bed.ask("c", "d");
    bed.worker.gone("a");
    await turn();
    assert.equal(bed.sent.length, 0);
    bed.answer(first, [null, "per-client"]);
    const second = await bed.next();
    assert.deepEqual(
      [second.limits, second.asks, second.gone],
      [
        undefined,
        [
          ["c", false],
          ["d", false],
        ],
        [["a", 1]],
      ],
    );
    bed.answer(second);
    assert.deepEqual(bed.answers, [
      ["a", null],
      ["b", "per-client"],
      ["c", null],
      ["d", null],
    ]);
    assert.ok(bed.worker.shared);
    bed.worker.close();
  });

  test("messages are bounded: what is more waits for the next", async () => {
    const bed = new Bed();
    bed.held = Array.from({ length: 2_500 }, (_, index) => [`held ${index}`, 1]);
    for (let index = 0; index < 1_500; index++) bed.ask(`${index}`);
    const sizes: number[][] = [];
    for (let n = 0; n < 4; n++) {
      const message = await bed.next();
      assert.deepEqual(workerMessageIn(structuredClone(message)), message);
      sizes.push([message.held.length, message.asks.length]);
      bed.answer(message);
    }
    assert.deepEqual(sizes, [
      [1_000, 0],
      [1_000, 0],
      [500, 1_000],
      [0, 500],
    ]);
    bed.worker.close();
  });

  test("all that has ended is told before anything is asked", async () => {
    const bed = new Bed();
    bed.ask("first");
    const first = await bed.next();
    for (let index = 0; index < 1_001; index++) bed.worker.gone(`${index}`);
    bed.ask("next");
    bed.answer(first);
    const second = await bed.next();
    assert.deepEqual([second.gone.length, second.asks.length], [1_000, 0]);
    bed.answer(second);
    const third = await bed.next();
    assert.deepEqual([third.gone.length, third.asks.length], [1, 1]);
    bed.worker.close();
  });

  test("a primary that does not answer is said once, and connections do not wait for it again", async () => {
    const bed = new Bed();
    bed.ask("a");
    await bed.next();
    bed.ask("b");
    await bed.clock.advance(1_000);
    assert.deepEqual(bed.answers, [
      ["a", "alone"],
      ["b", "alone"],
    ]);
    bed.ask("c");
    assert.deepEqual(bed.answers.at(-1), ["c", "alone"]);
    // Asked now and then, with nothing that would have to be counted.
    await bed.clock.advance(5_000);
    const knock = await bed.next();
    assert.deepEqual([knock.limits, knock.held, knock.asks], [undefined, [], []]);
    await bed.clock.advance(1_000);
    assert.deepEqual(
      bed.problems.map(({ code }) => code),
      ["no-primary"],
    );
    bed.worker.close();
  });

  test("a primary that answers again is told what is held, and decides again", async () => {
    const bed = new Bed();
    bed.ask("a");
    const lost = await bed.next();
    await bed.clock.advance(1_000);
    bed.held = [
      ["a", 1],
      ["b", 2],
    ];
    await bed.clock.advance(5_000);
    const knock = await bed.next();
    // Too late: this connection was taken, or not, by our own counts.
    bed.answer(lost);
    bed.answer(knock);
    const begin = await bed.next();
    assert.deepEqual([begin.limits?.perClient, begin.held], [2, bed.held]);
    bed.ask("c");
    bed.answer(begin);
    assert.ok(bed.worker.shared);
    const next = await bed.next();
    bed.answer(next, ["total"]);
    assert.deepEqual(bed.answers, [
      ["a", "alone"],
      ["c", "total"],
    ]);
    bed.worker.close();
  });

  test("a closed channel is no reason to wait", async () => {
    const bed = new Bed();
    bed.open = false;
    bed.ask("a");
    await turn();
    assert.deepEqual(bed.answers, [["a", "alone"]]);
    bed.worker.close();
  });

  test("long names of clients go over as their digests, always the same", async () => {
    const bed = new Bed();
    bed.ask("x".repeat(5_000));
    const first = await bed.next();
    bed.answer(first);
    bed.worker.gone("x".repeat(5_000));
    const second = await bed.next();
    assert.equal(first.asks[0]?.[0], second.gone[0]?.[0]);
    assert.ok(workerMessageIn(first) !== null);
    bed.worker.close();
  });

  test("room is made on the primary's order, and what is not ours is left to the application", async () => {
    const bed = new Bed();
    bed.ask("a");
    bed.answer(await bed.next());
    bed.hear({ deadpeer: "governor", group: "g", shed: "a" });
    bed.hear({ deadpeer: "governor", group: "another", shed: "b" });
    bed.hear("word of the application's");
    bed.hear(null);
    assert.deepEqual(bed.shed, ["a"]);
    bed.worker.close();
  });

  test("the primary takes no message that is damaged or too long", () => {
    const good = { deadpeer: "governor", group: "g", number: 1, held: [], gone: [], asks: [] };
    assert.notEqual(workerMessageIn(good), null);
    const entries = Array.from({ length: 1_001 }, () => ["a", true]);
    for (const bad of [
      { ...good, asks: entries },
      { ...good, asks: [["a".repeat(129), false]] },
      { ...good, gone: [["a", -1]] },
      { ...good, held: [["a", 0.5]] },
      { ...good, number: "1" },
      { ...good, limits: { total: 0, perClient: null, newPerClient: null } },
      { ...good, deadpeer: "other" },
      null,
      "governor",
    ])
      assert.equal(workerMessageIn(bad), null);
  });
});
