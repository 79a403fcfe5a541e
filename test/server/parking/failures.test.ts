import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { after, before, describe, test } from "node:test";
import { listeningFd } from "../../../src/guard/inner-socket.js";
import { systemClock } from "../../../src/kernel/clock.js";
import { Lot } from "../../../src/server/parking/lot.js";
import { runModule } from "../../kernel/support.js";
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

  test("takes nobody along into what a session's owner does with it: the next ones are given back, too", () => {
    const { status, stdout, stderr } = runModule(`
      const support = await import(src + "../test/server/parking/support.js");
      const loud = [];
      process.on("uncaughtException", ({ message }) => loud.push(message));
      const pairs = await support.Pairs.open();
      const lot = await support.openLot({ worker: new URL("../test/server/parking/workers/crashing.js", src) });
      const first = await support.parkOne(lot, pairs);
      const second = await support.parkOne(lot, pairs);
      first.guest.handedBack = () => { throw new Error("of the application"); };
      first.client.write("something");
      const { back } = await second.guest.returned();
      console.log(JSON.stringify([back.why, loud, lot.parked, lot.failures]));
      process.exit();
    `);
    assert.equal(stderr, "");
    assert.equal(status, 0);
    assert.deepEqual(JSON.parse(stdout), ["taken-over", ["of the application"], 0, 1]);
  });

  for (const host of ["127.0.0.1", "::1"])
    test(`and hangs while nobody is parked does not hold up who closes the listener at ${host}`, async () => {
      const lot = await openLot({ worker: worker("hanging"), watchMs: 50 });
      const server = createServer().listen(0, host);
      await once(server, "listening");
      assert.ok((server.address() as AddressInfo).port > 0);
      // It is deaf already, as it were: all that it can do is end.
      await lot.deafen(lot.listen(listeningFd(server)));
      assert.equal(lot.failures, 1);
      server.close();
      await lot.close();
    });

  test("where no thread can be started nothing is left behind, and a server listens at once without", () => {
    const { status, stdout, stderr } = runModule(`
      const workers = await import("node:worker_threads");
      const { readdirSync } = await import("node:fs");
      const { syncBuiltinESMExports } = await import("node:module");
      workers.default.Worker = class { constructor() { throw new Error("not allowed"); } };
      syncBuiltinESMExports();
      const { HeartbeatServer } = await import(src + "server/heartbeat-server.js");
      const { Lot } = await import(src + "server/parking/lot.js");
      const { systemClock } = await import(src + "kernel/clock.js");
      const count = () => readdirSync("/proc/self/fd").length;
      const before = count();
      const lot = new Lot({ clock: systemClock, capacity: 10, beatEveryMs: 1 });
      for (let n = 0; n < 10; n++) if (lot.open) throw new Error("open");
      const left = count() - before;
      const { failures } = lot;
      const from = performance.now();
      const server = new HeartbeatServer({ parking: true });
      await server.listen({ port: 0 });
      const took = performance.now() - from;
      const { lotAccepts } = server.snapshot();
      await server.close();
      console.log(JSON.stringify({ left, failures, lotAccepts, took }));
    `);
    assert.equal(stderr, "");
    assert.equal(status, 0);
    const { took, ...rest } = JSON.parse(stdout) as { took: number };
    assert.deepEqual(rest, { left: 0, failures: 3, lotAccepts: 0 });
    // Five seconds are for one that is slow.
    assert.ok(took < 4_000, `${took} ms`);
  });

  test("a server in a thread that may be ended at any time goes without, so that its clients learn of the end", () => {
    const { status, stdout, stderr } = runModule(`
      const { once } = await import("node:events");
      const { Worker } = await import("node:worker_threads");
      const { RawClient } = await import(src + "../test/server/raw-client.js");
      const lines = [];
      for (const parking of [undefined, true]) {
        const worker = new Worker(\`
          import("node:worker_threads").then(async ({ parentPort, workerData: { src, parking } }) => {
            const { HeartbeatServer } = await import(src + "server/heartbeat-server.js");
            const server = new HeartbeatServer({ parking });
            const { port } = await server.listen({ port: 0 });
            parentPort.on("message", () => server.close());
            parentPort.postMessage([port, server.snapshot().lotAccepts]);
          });
        \`, { eval: true, execArgv: [], workerData: { src, parking } });
        const [[port, lotAccepts]] = await once(worker, "message");
        const client = await RawClient.connect(port);
        await client.hello();
        // Whoever asks for it closes.
        if (parking) worker.postMessage("close");
        else await worker.terminate();
        await client.ended;
        lines.push([lotAccepts, client.heard.at(-1).type]);
        await worker.terminate();
      }
      console.log(JSON.stringify(lines));
    `);
    assert.equal(stderr, "");
    assert.equal(status, 0);
    assert.deepEqual(JSON.parse(stdout), [
      [0, "hello"],
      [1, "bye"],
    ]);
  });

  for (const [what, end] of [
    ["ends", "process.exit();"],
    ["closes the server", "await server.close();"],
  ] as const)
    test(`that just starts, with others of its kind, takes nothing along when the process ${what}`, () => {
      // koffi, ended while it loads, would abort the process. One of so many is just there most of the time.
      for (let round = 0; round < 4; round++) {
        const { status, signal, stderr } = runModule(`
          const { HeartbeatServer } = await import(src + "server/heartbeat-server.js");
          const server = new HeartbeatServer({ parking: { workers: 24 } });
          await server.listen({ port: 0 });
          ${end}
        `);
        assert.deepEqual({ status, signal, stderr }, { status: 0, signal: null, stderr: "" });
      }
    });

  test("is not started for ever", async () => {
    const before = descriptors();
    let shut = 0;
    const lot = new Lot({
      clock: systemClock,
      capacity: 10,
      beatEveryMs: 1,
      worker: worker("broken"),
      onShut: () => shut++,
    });
    await until(() => !lot.open && lot.failures === 3);
    assert.equal(shut, 3, "who waits for it to open is told each time that it will not");
    assert.equal(lot.opening, false);
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
