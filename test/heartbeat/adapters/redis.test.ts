import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { innerSocket } from "../../../src/guard/inner-socket.js";
import { overIoredis, overNodeRedis } from "../../../src/heartbeat/adapters/redis.js";
import { libcProblem } from "../../../src/kernel/libc.js";
import { missingServers, startRedis } from "../../support/servers.js";
import { Here, segmentsIn, until, watch } from "./support.js";

/** The connection, while it waits for a reply. */
function during(redis: Redis, command: Promise<unknown>): Redis {
  command.catch(() => {});
  return redis;
}

describe("Redis", { skip: missingServers("redis-server"), timeout: 60_000 }, () => {
  let here: Here;
  let server: ChildProcess;
  before(async () => {
    here = await Here.open();
    server = await startRedis(here);
  });
  const ends: (() => void)[] = [];
  after(async () => {
    for (const end of ends) end();
    await here?.[Symbol.asyncDispose]();
  });

  const ioredis = async (): Promise<Redis> => {
    const redis = new Redis({ host: "::1", port: here.port, retryStrategy: () => 10 });
    redis.on("error", () => {});
    ends.push(() => redis.disconnect());
    await once(redis, "ready");
    return redis;
  };

  const nodeRedis = async () => {
    const client = createClient({ socket: { host: "127.0.0.1", port: here.port, reconnectStrategy: 10 } });
    client.on("error", () => {});
    ends.push(() => client.destroy());
    await client.connect();
    return client;
  };

  test("a PING is answered, and replies to the application's commands stay its own", async () => {
    const redis = await ioredis();
    const client = await nodeRedis();
    for (const [adapter, increment] of [
      [overIoredis(redis), () => redis.incr("counter")],
      [overNodeRedis(client), () => client.incr("counter")],
    ] as const) {
      const { clock, seen, beats } = watch(adapter);
      let last = 0;
      for (let round = 0; round < 50; round++) {
        const replies = [increment()];
        clock.advanceSync(20_000);
        replies.push(increment());
        const [first = 0, second = 0] = await Promise.all(replies);
        assert.equal(second, first + 1);
        assert.ok(first > last);
        last = second;
        await until("the answer", () => seen.at(-1) !== "beat");
      }
      assert.ok(
        seen.length === 100 && seen.every((what) => what === "beat" || what === "answer"),
        String(seen),
      );
      beats.close();
    }
    redis.disconnect();
    client.destroy();
  });

  test("ioredis: while a command blocks, and in a monitor, the server's kernel is asked", {
    skip: libcProblem() !== null,
  }, async () => {
    const waiting: readonly ((redis: Redis) => Redis | Promise<Redis>)[] = [
      (redis) => during(redis, redis.blpop("nothing", 0)),
      (redis) => during(redis, redis.xread("BLOCK", 0, "STREAMS", "stream", "$")),
      (redis) => redis.monitor(),
    ];
    // One after the other: ioredis breaks when a command of another connection is reported together with the answer to MONITOR.
    const connections: Redis[] = [];
    for (const wait of waiting) connections.push(await wait(await ioredis()));
    await Promise.all(
      connections.map(async (redis) => {
        ends.push(() => redis.disconnect());
        const { clock, seen, beats } = watch(overIoredis(redis));
        const segments = segmentsIn(innerSocket(redis));
        clock.advanceSync(20_000);
        await until("the kernel's acknowledgement", () => segmentsIn(innerSocket(redis)) > segments);
        clock.advanceSync(5_000);
        assert.equal(seen.includes("answer"), false);
        assert.equal(beats.state, "alive");
        beats.close();
      }),
    );
    // Without BLOCK it is a command like others.
    const redis = await ioredis();
    const { clock, seen } = watch(overIoredis(redis));
    const read = redis.xread("STREAMS", "stream", "0");
    clock.advanceSync(20_000);
    await until("the answer", () => seen.includes("answer"));
    await read;
  });

  test("node-redis: while a command blocks, nothing is asked and nobody blamed; afterwards it is as before", async () => {
    const client = await nodeRedis();
    const { clock, seen, beats } = watch(overNodeRedis(client));
    const other = await nodeRedis();
    const popped = client.blPop("list", 0);
    clock.advanceSync(600_000);
    assert.equal(seen.length, 0);
    await other.rPush("list", "element");
    assert.deepEqual((await popped)?.element, "element");
    // One of another client's is no excuse.
    const foreign = other.blPop("list", 0);
    foreign.catch(() => {});
    clock.advanceSync(20_000);
    await until("the answer", () => seen.includes("answer"));
    assert.deepEqual(seen, ["beat", "answer"]);
    beats.close();
    client.destroy();
    other.destroy();
  });

  test("a server that hangs is let go of; ioredis comes back by itself, node-redis when it is told to", async () => {
    const redis = await ioredis();
    const client = await nodeRedis();
    const first = watch(overIoredis(redis));
    const second = watch(overNodeRedis(client));
    server.kill("SIGSTOP");
    const closed = Promise.all([once(redis, "close"), once(client, "end")]);
    for (const { clock, seen, beats } of [first, second]) {
      clock.advanceSync(35_000);
      assert.deepEqual(seen, ["beat", "suspect", "beat", "beat", "verdict", "end"]);
      assert.equal(beats.verdict?.state, "unresponsive");
      assert.equal(clock.pending, 0);
    }
    await closed;
    server.kill("SIGCONT");
    await Promise.all([once(redis, "ready"), client.connect()]);
    for (const adapter of [overIoredis(redis), overNodeRedis(client)]) {
      const { clock, seen, beats } = watch(adapter);
      clock.advanceSync(20_000);
      await until("the answer", () => seen.includes("answer"));
      beats.close();
    }
    redis.disconnect();
    client.destroy();
  });

  test("a connection that breaks ends its heartbeat, and the next has one of its own", async () => {
    const redis = await ioredis();
    const client = await nodeRedis();
    const watched = [watch(overIoredis(redis)), watch(overNodeRedis(client))];
    const admin = await nodeRedis();
    const again = Promise.all([
      once(redis, "ready"),
      new Promise((resolve) => client.once("ready", resolve)),
    ]);
    await admin.sendCommand(["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    await again;
    for (const { seen, clock } of watched) {
      assert.deepEqual(seen, ["end"]);
      assert.equal(clock.pending, 0);
    }
    redis.disconnect();
    client.destroy();
    admin.destroy();
  });
});
