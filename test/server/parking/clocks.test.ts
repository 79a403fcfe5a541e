import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { encode } from "../../../src/heartbeat/protocol/encode.js";
import { until } from "../../support/until.js";
import { plainHello, RawClient } from "../raw-client.js";
import { openLot, Pairs, parkOne } from "./support.js";

interface Offline {
  readonly id: string;
  readonly state: string;
  readonly atMs: number;
}

const nothing = Buffer.alloc(0);
const detect = { idle: "2s", interval: "1s", count: 3 };
/** From the first question after waking to the end: three unanswered ones, a second apart. */
const roundMs = 3_000;
const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6;

/** A server in a process of its own, which can be stopped and whose clock can be set. */
class Stoppable implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly offline: Offline[] = [];
  port = 0;
  sessions = 0;
  parked = 0;

  private constructor(options: object) {
    this.child = fork(fileURLToPath(new URL("stopping.js", import.meta.url)), [JSON.stringify(options)]);
    this.child.on("message", (word: { is: string } & Offline & { sessions: number; parked: number }) => {
      if (word.is === "offline") this.offline.push(word);
      if (word.is === "count") [this.sessions, this.parked] = [word.sessions, word.parked];
    });
  }

  static async open(options: object): Promise<Stoppable> {
    const server = new Stoppable(options);
    const [{ port }] = (await once(server.child, "message")) as [{ port: number }];
    server.port = port;
    return server;
  }

  async allParked(): Promise<void> {
    await until(() => {
      this.child.send("count");
      return this.sessions > 0 && this.parked === this.sessions;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exit = once(this.child, "exit");
    this.child.kill("SIGCONT");
    this.child.kill("SIGKILL");
    await exit;
  }
}

interface Crowd extends Disposable {
  /** Those that live, by their sessions' ids: they beat, or they only answer. */
  readonly living: ReadonlySet<string>;
  /** Those that answer nothing. */
  readonly deaf: ReadonlySet<string>;
  readonly failed: () => number;
}

async function gather(port: number): Promise<Crowd> {
  const living = new Set<string>();
  const deaf = new Set<string>();
  const clients: RawClient[] = [];
  const timers: NodeJS.Timeout[] = [];
  let failed = 0;
  for (let n = 0; n < 40; n++) {
    const client = await RawClient.connect(port, n % 2 === 0 ? "127.0.0.1" : "::1");
    clients.push(client);
    const { session } = await client.hello();
    const id = Buffer.from(session ?? []).toString("hex");
    if (n % 4 === 0) {
      deaf.add(id);
      continue;
    }
    living.add(id);
    client.socket.once("close", () => failed++);
    if (n % 4 === 1) {
      let number = 0;
      const beat = (): void =>
        client.say({ type: "beat", number: ++number, sendEveryMs: 0, received: 0, payload: nothing });
      timers.push(setInterval(beat, 300));
    }
    client.answering = true;
  }
  return {
    living,
    deaf,
    failed: () => failed,
    [Symbol.dispose]: () => {
      for (const timer of timers) clearInterval(timer);
      for (const { socket } of clients) socket.destroy();
    },
  };
}

for (const parking of [{ after: "20ms" }, false])
  describe(`time and sessions, parking ${JSON.stringify(parking)}`, { timeout: 60_000 }, () => {
    test("a server that was stopped for longer than it waits for anybody gives each a full round once it wakes", async () => {
      await using server = await Stoppable.open({ parking, detect });
      using crowd = await gather(server.port);
      if (parking !== false) await server.allParked();
      server.child.kill("SIGSTOP");
      await sleep(7_000);
      assert.deepEqual(server.offline, []);
      const wokeMs = nowMs();
      server.child.kill("SIGCONT");
      await until(() => crowd.deaf.size === server.offline.filter(({ id }) => crowd.deaf.has(id)).length);
      for (const { id, state, atMs } of server.offline) {
        assert.ok(crowd.deaf.has(id), "only who answers nothing is given up");
        assert.equal(state, "unresponsive");
        // A millisecond for clocks that round.
        assert.ok(atMs - wokeMs >= roundMs - 1, `${atMs - wokeMs} ms after waking`);
      }
      assert.equal(crowd.failed(), 0);
    });

    for (const host of ["127.0.0.1", "::1"])
      test(`who said hello to ${host} while the server was stopped is greeted, and who said nothing is not`, async () => {
        await using server = await Stoppable.open({ parking, handshake: "1s" });
        const connect = (): Promise<RawClient> => RawClient.connect(server.port, host);
        const many = (): Promise<RawClient[]> => Promise.all(Array.from({ length: 20 }, connect));
        const before = await many();
        // The server has accepted them: it has answered whoever came after them.
        await (await connect()).hello();
        server.child.kill("SIGSTOP");
        const during = await many();
        const polite = [...before.slice(10), ...during.slice(10)];
        for (const client of polite) client.say(plainHello);
        await sleep(2_500);
        server.child.kill("SIGCONT");
        for (const client of polite) assert.equal((await client.next("hello"))?.type, "hello");
        const silent = [...before, ...during].filter((client) => !polite.includes(client));
        await Promise.all(silent.map((client) => client.ended));
        for (const { socket } of polite) socket.destroy();
      });

    test("people's clock that is set forward and back ends nobody, and saves nobody", async () => {
      await using server = await Stoppable.open({ parking, detect });
      using crowd = await gather(server.port);
      const fromMs = nowMs();
      for (const ahead of [3_600_000, -7_200_000, 86_400_000, -1]) {
        server.child.send(ahead);
        await sleep(700);
      }
      await until(() => crowd.deaf.size === server.offline.filter(({ id }) => crowd.deaf.has(id)).length);
      assert.ok(nowMs() - fromMs < 30_000);
      for (const { id, state } of server.offline) {
        assert.ok(crowd.deaf.has(id), "only who answers nothing is given up");
        assert.equal(state, "unresponsive");
      }
      assert.equal(crowd.failed(), 0);
    });
  });

describe("the lot's own clock", { timeout: 60_000 }, () => {
  let pairs: Pairs;
  after(() => pairs[Symbol.asyncDispose]());

  test("is not people's: with that one jumping at every look, beats are answered and patience lasts as long", async () => {
    pairs = await Pairs.open();
    const lot = await openLot({ worker: new URL("workers/jumping.js", import.meta.url) });
    const from = performance.now();
    const { client, guest } = await parkOne(lot, pairs, { heardMs: from, patienceMs: 400 });
    const patient = await parkOne(lot, pairs, { heardMs: from });
    let heard = 0;
    patient.client.on("data", (chunk) => (heard += chunk.length));
    patient.client.write(encode({ type: "beat", number: 1, sendEveryMs: 0, received: 0, payload: nothing }));
    const { back, socket } = await guest.returned();
    assert.equal(back.why, "due");
    assert.ok(performance.now() - from >= 399);
    await until(() => heard === 20);
    assert.equal(patient.guest.back, null);
    socket.destroy();
    client.destroy();
    patient.client.destroy();
    await lot.close();
  });
});
