import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { systemClock } from "../../../src/kernel/clock.js";
import { Lot } from "../../../src/server/parking/lot.js";
import { until } from "../../support/until.js";
import { easyTerms, Guest, openLot, Pairs, parkOne, takeFd } from "./support.js";

const worker = (name: string): URL => new URL(`workers/${name}.js`, import.meta.url);

/** A worker of Node keeps descriptors of its own for a moment. */
const descriptors = (): number => readdirSync("/proc/self/fd").length;

describe("a parking worker that fails", { timeout: 60_000 }, () => {
  let pairs: Pairs;

  before(async () => {
    pairs = await Pairs.open();
  });
  after(() => pairs[Symbol.asyncDispose]());

  test("gives everybody back, with what it had read, and another one is started", async () => {
    const lot = await openLot({ worker: worker("crashing") });
    const talking = await parkOne(lot, pairs);
    const quiet = await parkOne(lot, pairs);
    talking.client.write("in its hands");
    const first = await talking.guest.returned();
    const second = await quiet.guest.returned();
    assert.deepEqual([first.back.why, second.back.why], ["taken-over", "taken-over"]);
    assert.equal(Buffer.from(first.back.bytes ?? []).toString(), "in its hands");
    assert.equal(second.back.bytes, null);
    for (const [socket, client] of [
      [first.socket, talking.client],
      [second.socket, quiet.client],
    ] as const) {
      const said = once(socket, "data") as Promise<[Buffer]>;
      client.write("more");
      assert.equal((await said)[0].toString(), "more");
      socket.destroy();
    }
    assert.equal(lot.failures, 1);
    await until(() => lot.open);
    await lot.close();
  });

  test("is noticed when it hangs, ended, and its sessions are taken over", async () => {
    const lot = await openLot({ worker: worker("hanging"), watchMs: 50 });
    const { client, guest } = await parkOne(lot, pairs);
    const from = performance.now();
    const { back, socket } = await guest.returned();
    assert.equal(back.why, "taken-over");
    assert.ok(performance.now() - from < 5_000);
    const said = once(socket, "data") as Promise<[Buffer]>;
    client.write("still here");
    assert.equal((await said)[0].toString(), "still here");
    socket.destroy();
    await lot.close();
  });

  test("is not started for ever", async () => {
    const before = descriptors();
    const lot = new Lot({ clock: systemClock, capacity: 10, beatEveryMs: 1, worker: worker("broken") });
    await until(() => !lot.open && lot.failures === 3);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(lot.open, false);
    assert.equal(lot.failures, 3);
    const { accepted } = await pairs.make();
    const fd = takeFd(accepted);
    assert.equal(lot.park(fd, new Guest(), easyTerms()), null);
    await lot.close();
    await until(() => descriptors() <= before + 3);
  });

  test("a full lot takes nobody, and one that is closed gives everybody back", async () => {
    const lot = await openLot({ capacity: 2 });
    const guests = [await parkOne(lot, pairs), await parkOne(lot, pairs)];
    await assert.rejects(parkOne(lot, pairs), /took nobody/);
    await lot.close();
    for (const { guest } of guests) {
      const { back, socket } = await guest.returned();
      assert.equal(back.why, "taken-over");
      socket.destroy();
    }
    assert.equal(lot.open, false);
  });
});
