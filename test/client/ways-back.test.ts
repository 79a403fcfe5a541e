import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { describe, test } from "node:test";
import { LongConnection, type LongConnectionOptions } from "../../src/client/index.js";
import { HeartbeatServer, type Session } from "../../src/server/index.js";
import { VirtualClock } from "../../src/time/virtual-clock.js";
import { Hosts, needsNamespaces } from "../support/namespaces.js";
import { until } from "../support/until.js";

const loopback = { port: 0, host: "127.0.0.1" };
const quick: Partial<LongConnectionOptions> = { backoff: { first: "20ms", most: "50ms" } };
const at = (port: number): string => `tcp://127.0.0.1:${port}`;

/** A port at which nobody listens. */
async function closedPort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** What arrives at a server, as texts. */
function arrivals(server: HeartbeatServer): string[] {
  const seen: string[] = [];
  server.on("data", (_, payload) => seen.push(Buffer.from(payload).toString()));
  return seen;
}

describe("a long connection finds its way", { timeout: 60_000, concurrency: true }, () => {
  test("to the second address, if the first does not answer, without a wait", async () => {
    await using server = new HeartbeatServer();
    const { port } = await server.listen(loopback);
    // Nobody listens at one, nobody says hello at the other.
    const mute = createServer((socket) => socket.on("error", () => {}))
      .listen(0, "127.0.0.1")
      .unref();
    await once(mute, "listening");
    for (const first of [await closedPort(), (mute.address() as AddressInfo).port]) {
      await using connection = new LongConnection({ to: [at(first), at(port)], connectTimeout: "3s" });
      connection.on("retry", ({ problem }) => assert.fail(problem));
      const [{ to }] = (await once(connection, "online")) as [{ to: string }];
      assert.equal(to, at(port));
    }
    mute.close();
  });

  test("to the second server, when the first goes away; what waits goes along", async () => {
    const first = new HeartbeatServer();
    await using second = new HeartbeatServer();
    const seen = arrivals(second);
    const [one, two] = [await first.listen(loopback), await second.listen(loopback)];
    await using connection = new LongConnection({ ...quick, to: [at(one.port), at(two.port)] });
    await once(connection, "online");
    const forgotten = once(connection, "forgotten");
    const offline = once(connection, "offline");
    const closed = first.close();
    await offline;
    connection.send("meanwhile");
    await forgotten;
    await until(() => seen.length === 1 && connection.queued === 0);
    assert.deepEqual(seen, ["meanwhile"]);
    await closed;
  });

  test("to a new session, when the server has forgotten the old one after its grace", async () => {
    await using server = new HeartbeatServer({ grace: "100ms" });
    const seen = arrivals(server);
    const { port } = await server.listen(loopback);
    // So late that the grace is over; `retryNow` is the moment.
    await using connection = new LongConnection({ to: at(port), backoff: { first: "10h", most: "10h" } });
    connection.send("before");
    const [[old]] = (await Promise.all([once(server, "session"), once(connection, "online")])) as [
      [Session],
      unknown,
    ];
    await until(() => connection.queued === 0);
    const expired = once(server, "end") as Promise<[Session, string]>;
    const offline = once(connection, "offline");
    old.evict("a test");
    old.send("to the old one");
    await offline;
    connection.send("one");
    connection.send("two");
    const [ended, why] = await expired;
    assert.deepEqual([ended.id, why, ended.state, connection.state], [old.id, "expired", "ended", "waiting"]);
    assert.throws(() => ended.send("late"), { code: "connection-closed" });
    const events: string[] = [];
    connection.on("forgotten", () => events.push("forgotten"));
    connection.on("online", ({ resumed, session }) =>
      events.push(`resumed ${resumed} ${session !== old.id}`),
    );
    connection.on("data", (payload) => events.push(Buffer.from(payload).toString()));
    connection.retryNow();
    await until(() => seen.length === 3);
    assert.deepEqual(seen, ["before", "one", "two"]);
    assert.deepEqual(events, ["forgotten", "resumed false true"]);
    assert.equal(connection.given, 2, "numbered anew");
  });

  for (const [policy, arrived, dropped] of [
    ["drop-oldest", ["3", "4", "5"], ["1", "2"]],
    ["drop-newest", ["1", "2", "3"], ["4", "5"]],
    ["refuse", ["1", "2", "3"], []],
  ] as const)
    test(`what waits for a server that is away: ${policy}`, async () => {
      const port = await closedPort();
      await using connection = new LongConnection({ ...quick, to: at(port), queue: { messages: 3, policy } });
      const gone: string[] = [];
      connection.on("dropped", (payload) => gone.push(Buffer.from(payload).toString()));
      const taken = ["1", "2", "3", "4", "5"].map((text) => {
        try {
          return connection.send(text);
        } catch (error) {
          return (error as { code: string }).code;
        }
      });
      const late = { "drop-oldest": true, "drop-newest": false, refuse: "queue-full" }[policy];
      assert.deepEqual(taken, [true, true, true, late, late]);
      await using server = new HeartbeatServer();
      const seen = arrivals(server);
      await server.listen({ ...loopback, port });
      await until(() => seen.length >= 3 && connection.queued === 0);
      assert.deepEqual([seen, gone], [arrived, dropped]);
    });

  test("the same holds on a server for a client that is away", async () => {
    await using server = new HeartbeatServer({ queue: { messages: 2, policy: "drop-oldest" } });
    const gone: string[] = [];
    server.on("dropped", (_, payload) => gone.push(Buffer.from(payload).toString()));
    const { port } = await server.listen(loopback);
    await using connection = new LongConnection({
      ...quick,
      to: at(port),
      backoff: { first: "10h", most: "10h" },
    });
    const seen: string[] = [];
    connection.on("data", (payload) => seen.push(Buffer.from(payload).toString()));
    const [[session]] = (await Promise.all([once(server, "session"), once(connection, "online")])) as [
      [Session],
      unknown,
    ];
    const offline = once(connection, "offline");
    session.evict("a test");
    await offline;
    for (const text of ["1", "2", "3", "4"]) session.send(text);
    connection.retryNow();
    await until(() => seen.length === 2);
    assert.deepEqual(
      [seen, gone],
      [
        ["3", "4"],
        ["1", "2"],
      ],
    );
  });

  test("nothing waits that is not to, and nothing that is too long is taken", async () => {
    await using connection = new LongConnection({
      ...quick,
      to: at(await closedPort()),
      whileAway: "refuse",
    });
    assert.throws(() => connection.send("now"), { code: "queue-full" });
    await using server = new HeartbeatServer();
    await using other = new LongConnection({ to: at((await server.listen(loopback)).port) });
    assert.throws(() => other.send(Buffer.alloc(2 ** 20 + 1)), { code: "bad-option" });
    for (const queue of [{ messages: 0 }, { bytes: 0.5 }, { policy: "drop" as "refuse" }]) {
      assert.throws(() => new LongConnection({ to: at(1), queue }), { code: "bad-option" });
      assert.throws(() => new HeartbeatServer({ queue }), { code: "bad-option" });
    }
  });

  test("close sends what waits, also if the server must first come back", async () => {
    const port = await closedPort();
    const connection = new LongConnection({ ...quick, to: at(port) });
    for (let n = 0; n < 100; n++) connection.send(String(n));
    await once(connection, "retry");
    const closed = connection.close();
    assert.equal(connection.close(), closed);
    assert.throws(() => connection.send("late"), { code: "connection-closed" });
    await using server = new HeartbeatServer();
    const seen = arrivals(server);
    const ended = once(server, "end") as Promise<[Session, string]>;
    await server.listen({ ...loopback, port });
    await closed;
    assert.equal((await ended)[1], "bye");
    assert.deepEqual(
      seen,
      Array.from({ length: 100 }, (_, n) => String(n)),
    );
  });

  test("close gives up in time", async () => {
    const connection = new LongConnection({ ...quick, to: at(await closedPort()) });
    connection.send("never");
    const beganMs = performance.now();
    await connection.close({ withinMs: 200 });
    assert.ok(performance.now() - beganMs < 2_000);
    assert.deepEqual([connection.state, connection.queued], ["closed", 1]);
  });

  test("at once, when an address of this host changes", { skip: needsNamespaces }, async () => {
    using hosts = new Hosts();
    const port = await closedPort();
    // The host whose network is watched is the one in which it is made; it connects from here.
    await using connection = hosts.in(
      "near",
      () => new LongConnection({ to: at(port), backoff: { first: "10h", most: "10h" } }),
    );
    await once(connection, "retry");
    await using server = new HeartbeatServer();
    await server.listen({ ...loopback, port });
    const online = once(connection, "online");
    const args = ["-n", hosts.name("near"), "address", "add", "10.99.1.1/32", "dev", "wire"];
    const beganMs = performance.now();
    assert.equal(spawnSync("ip", args).status, 0);
    await online;
    // It is looked at twice a second.
    assert.ok(performance.now() - beganMs < 3_000, `${performance.now() - beganMs} ms`);
  });
});

describe("a signal ends it at once, wherever it stands", { timeout: 30_000 }, () => {
  test("before it begins", () => {
    const signal = AbortSignal.abort();
    assert.throws(() => new LongConnection({ to: at(1), signal }), { code: "aborted" });
    assert.throws(() => new HeartbeatServer({ signal }), { code: "aborted" });
  });

  for (const state of ["connecting", "waiting", "online", "closing"] as const)
    test(`while ${state}`, async () => {
      await using server = new HeartbeatServer();
      const mute = createServer((socket) => socket.on("error", () => {}))
        .listen(0, "127.0.0.1")
        .unref();
      await once(mute, "listening");
      const ports = {
        connecting: (mute.address() as AddressInfo).port,
        waiting: await closedPort(),
        online: (await server.listen(loopback)).port,
        closing: await closedPort(),
      };
      const clock = new VirtualClock();
      const controller = new AbortController();
      const connection = new LongConnection({ to: at(ports[state]), clock, signal: controller.signal });
      connection.send("something");
      let closing: Promise<void> | null = null;
      if (state === "waiting" || state === "closing") await once(connection, "retry");
      if (state === "online") await once(connection, "online");
      if (state === "connecting") await once(mute, "connection");
      if (state === "closing") closing = connection.close();
      assert.equal(connection.state, state);
      const closed: unknown[] = [];
      connection.on("closed", (error) => closed.push(error));
      controller.abort();
      assert.deepEqual([connection.state, closed], ["closed", [null]]);
      await closing;
      await connection.close();
      assert.equal(clock.pending, 0, "no timer is left");
      mute.close();
    });

  test("a server, with its sessions and its ports", async () => {
    const controller = new AbortController();
    const server = new HeartbeatServer({ signal: controller.signal });
    const { port } = await server.listen(loopback);
    await using connection = new LongConnection({ ...quick, to: at(port) });
    await once(connection, "online");
    const offline = once(connection, "offline");
    controller.abort();
    await offline;
    await server.close();
    await assert.rejects(server.listen({ ...loopback, port }), { code: "connection-closed" });
    const again = createServer().listen(port, "127.0.0.1");
    await once(again, "listening");
    again.close();
  });
});
