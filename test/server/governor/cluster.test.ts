import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, test } from "node:test";
import { until } from "../../support/until.js";
import { ask, type Asked, askTimes, GovernedCluster, hangUp, taken } from "./governed-cluster.js";

const loopback = { 4: ["127.0.0.1", "127.0.0.2"], 6: ["::1"] } as const;

describe("limits over the workers of a cluster", { timeout: 60_000 }, () => {
  for (const scheduling of ["rr", "none"] as const)
    test(`a client's limit and the total are one for both workers (${scheduling})`, async () => {
      await using cluster = await GovernedCluster.start({ perClient: 10, total: 25 }, { scheduling });
      const { port } = cluster;
      // All at once, over both families, from three clients of which each would have 40.
      const clients = [...loopback[4], ...loopback[6]];
      const asked = new Map<string, Asked[]>();
      await Promise.all(
        clients.map(async (from) => {
          asked.set(from, await Promise.all(Array.from({ length: 40 }, () => ask(port, from))));
        }),
      );
      const each = clients.map((from) => taken(asked.get(from) ?? []).length);
      assert.equal(
        each.reduce((sum, count) => sum + count, 0),
        25,
        String(each),
      );
      for (const count of each) assert.ok(count <= 10, String(each));
      const workers = new Set([...asked.values()].flat().map(({ worker }) => worker));
      workers.delete(null);
      if (scheduling === "rr") assert.equal(workers.size, 2);
      const [figures] = await cluster.figures();
      assert.deepEqual([figures?.connections, figures?.clients], [25, 3]);
      hangUp([...asked.values()].flat());
    });

  test("whoever hangs up makes room, and the primary counts right in the end", async () => {
    await using cluster = await GovernedCluster.start({ perClient: 6 });
    const { port } = cluster;
    for (const from of ["127.0.0.1", "::1"]) {
      const first = await askTimes(8, port, from);
      assert.equal(taken(first).length, 6);
      hangUp(taken(first).slice(0, 4));
      const second: Asked[] = [];
      // The workers see the ends when they come to it.
      while (taken(second).length < 4) second.push(await ask(port, from));
      assert.equal((await ask(port, from)).worker, null);
      hangUp([...first, ...second]);
    }
    for (;;) {
      const [figures] = await cluster.figures();
      if (figures?.connections === 0 && figures.clients === 0) break;
    }
  });

  test("a worker that dies gives back what it held", async () => {
    await using cluster = await GovernedCluster.start({ perClient: 6 });
    const { port } = cluster;
    for (const from of ["127.0.0.1", "::1"]) {
      const asked = await askTimes(7, port, from);
      assert.equal(taken(asked).length, 6);
      if (from === "::1") break;
      hangUp(asked);
    }
    const [before] = await cluster.figures();
    const held = await askTimes(6, port, "127.0.0.2");
    const dead = held[0]?.worker ?? 0;
    const ofDead = held.filter(({ worker }) => worker === dead).length;
    assert.ok(ofDead > 0 && ofDead < 6 && (before?.connections ?? 0) >= 6);
    await cluster.kill(dead);
    const more = await askTimes(8, port, "127.0.0.2");
    assert.equal(taken(more).length, ofDead);
    hangUp([...held, ...more]);
  });

  test("the rate of new connections is that of a client over both workers", async () => {
    await using cluster = await GovernedCluster.start({ newPerClient: { count: 8, within: "1h" } });
    for (const from of ["127.0.0.1", "::1"]) {
      const asked = await askTimes(12, cluster.port, from);
      assert.equal(taken(asked).length, 8);
      assert.equal(new Set(taken(asked).map(({ worker }) => worker)).size, 2);
      hangUp(asked);
    }
  });

  test("one connection too many makes room for itself, in the other worker if need be; not one with a request in flight", async () => {
    await using cluster = await GovernedCluster.start({ perClient: 1, atLimit: "evict" });
    const { port } = cluster;
    for (const from of ["127.0.0.1", "::1"]) {
      let last: Asked | null = null;
      const workers = new Set<number | null>();
      for (let n = 0; n < 6; n++) {
        const next = await ask(port, from);
        assert.notEqual(next.worker, null);
        workers.add(next.worker);
        if (last !== null && !last.socket.closed) await once(last.socket.resume(), "close");
        last = next;
      }
      assert.equal(workers.size, 2);
      assert.ok(last !== null);
      // Both are read at once: with the first answered, the second is in flight.
      last.socket.write(`GET / HTTP/1.1\r\nHost: test\r\n\r\nGET /wait HTTP/1.1\r\nHost: test\r\n\r\n`);
      await once(last.socket, "data");
      const refused = await ask(port, from);
      assert.deepEqual([refused.worker, last.socket.closed], [null, false]);
      hangUp([last, refused]);
    }
  });

  test("without a primary that counts, each worker holds its own to the limits, and says so", async () => {
    await using cluster = await GovernedCluster.start({ perClient: 4 }, { counting: false });
    const { port } = cluster;
    const asked = await askTimes(16, port, "127.0.0.1");
    assert.equal(await cluster.alone(), "no-primary");
    const workers = new Map<number, number>();
    for (const { worker } of taken(asked)) workers.set(worker ?? 0, (workers.get(worker ?? 0) ?? 0) + 1);
    assert.deepEqual([...workers.values()], [4, 4]);
    hangUp(asked);
  });

  test("where no number is limited, nobody is asked", async () => {
    await using cluster = await GovernedCluster.start({ idle: "1h" });
    const asked = await askTimes(4, cluster.port, "127.0.0.1");
    assert.equal(taken(asked).length, 4);
    assert.deepEqual(await cluster.figures(), []);
    hangUp(asked);
  });

  test("a connection that has gone while it waited is given back", async () => {
    await using cluster = await GovernedCluster.start({ perClient: 50 });
    const { port } = cluster;
    const asking = Array.from({ length: 40 }, () => ask(port, "127.0.0.1"));
    hangUp(await Promise.all(asking));
    let connections = -1;
    while (connections !== 0) connections = (await cluster.figures())[0]?.connections ?? 0;
    const again = await Promise.all(Array.from({ length: 60 }, () => ask(port, "127.0.0.1")));
    assert.equal(taken(again).length, 50);
    await until(() => again.filter(({ worker }) => worker === null).every(({ socket }) => socket.closed));
    hangUp(again);
  });
});
