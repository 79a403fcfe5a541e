import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { describe, test } from "node:test";
import { LongConnection } from "../../src/client/long-connection.js";
import { heartbeat } from "../../src/heartbeat/heartbeat.js";
import type { Bye } from "../../src/heartbeat/protocol/message.js";
import type { SessionStore } from "../../src/heartbeat/session/journal.js";
import { HeartbeatServer } from "../../src/server/heartbeat-server.js";
import type { HeartbeatServerOptions } from "../../src/server/options.js";
import type { Session } from "../../src/server/session.js";
import { selfSigned } from "../support/certificate.js";
import { thrownDuring } from "../support/thrown.js";
import { until } from "../support/until.js";
import { plainHello, RawClient } from "./raw-client.js";

const here = { port: 0, host: "127.0.0.1" };

async function reach(port: number): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

/** A store that does nothing, or fails at one thing. */
function store(fails: "journal" | "received" | "ended" | null): SessionStore {
  const at = (name: string) => (): void => {
    if (name === fails) throw new Error(`${name}: no space left on device`);
  };
  return {
    load: () => ({ secret: null, sessions: [] }),
    keepSecret() {},
    journal() {
      at("journal")();
      const [named, pushed, dropped, acknowledged] = [at(""), at(""), at(""), at("")];
      return { named, pushed, dropped, acknowledged, received: at("received"), ended: at("ended") };
    },
    close() {},
  };
}

describe("a server that is closed", { timeout: 30_000 }, () => {
  test("does not wait for a client that stalls in the TLS handshake", async () => {
    const server = new HeartbeatServer({ handshake: "10m" });
    const { port } = await server.listenTls({ ...here, tls: selfSigned() });
    const stalled = await reach(port);
    stalled.resume();
    const ended = once(stalled, "close");
    await server.close();
    stalled.end();
    await ended;
  });

  test("lets go of accepted connections whose clients never read", async () => {
    const server = new HeartbeatServer();
    const sockets: Socket[] = [];
    const acceptor = createServer({ allowHalfOpen: true }, (socket) => {
      sockets.push(socket);
      server.accept(socket);
    }).listen(0, "127.0.0.1");
    await once(acceptor, "listening");
    const client = await RawClient.connect((acceptor.address() as { port: number }).port);
    await client.hello();
    client.socket.pause();
    await server.close();
    assert.equal(sockets[0]?.destroyed, true);
    client.socket.destroy();
    acceptor.close();
  });

  test("does not begin to listen afterwards", async () => {
    const server = new HeartbeatServer();
    const listening = [server.listen(here), server.listenUdp(here)];
    const refused = listening.map((one) => assert.rejects(one, { code: "connection-closed" }));
    await server.close();
    await Promise.all(refused);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const held = process.getActiveResourcesInfo();
    assert.ok(!held.includes("TCPServerWrap") && !held.includes("UDPWrap"), held.join());
  });

  test("takes nothing more for sessions that another process goes on with", async () => {
    const server = new HeartbeatServer({ store: store(null) });
    const { port } = await server.listen(here);
    const client = await RawClient.connect(port);
    const [session] = (await Promise.all([once(server, "session"), client.hello()]))[0] as [Session];
    await server.close();
    assert.throws(() => session.send("lost"), { code: "connection-closed" });
  });
});

describe("a server in an awkward place", { timeout: 30_000 }, () => {
  test("has room for all clients that come at once", async () => {
    await using server = new HeartbeatServer();
    const { port } = await server.listen(here);
    const line = execFileSync("ss", ["-ltnH", `sport = :${port}`], { encoding: "utf8" });
    const most = Number(readFileSync("/proc/sys/net/core/somaxconn", "utf8"));
    assert.equal(Number(line.trim().split(/\s+/)[2]), Math.min(4_096, most));
  });

  test("counts those that stall in the TLS handshake among those without a hello", async () => {
    await using server = new HeartbeatServer({ maxGreetings: 2 });
    const { port } = await server.listenTls({ ...here, tls: selfSigned() });
    const stalled = [await reach(port), await reach(port)];
    const refused = once(server, "refused");
    const third = await reach(port);
    third.resume();
    third.end();
    await once(third, "close");
    assert.match((await refused)[1], /too many connections/);
    for (const socket of [...stalled, third]) socket.destroy();
  });

  test("keeps no heap of answers for a client that does not read them", async () => {
    await using server = new HeartbeatServer({ beatsPerSecond: Number.POSITIVE_INFINITY, tcp: null });
    server.payload = () => "x".repeat(65_000);
    const sockets: Socket[] = [];
    const acceptor = createServer((socket) => {
      sockets.push(socket);
      server.accept(socket);
    }).listen(0, "127.0.0.1");
    await once(acceptor, "listening");
    const client = await RawClient.connect((acceptor.address() as { port: number }).port);
    await client.hello();
    client.socket.pause();
    let said = 0;
    // The kernel's own buffers take some megabytes of answers first.
    const beats = Array.from({ length: 300 }, (_, n) => ({
      type: "beat" as const,
      number: n + 1,
      sendEveryMs: 0,
      received: 0,
      payload: Buffer.of(1),
    }));
    server.on("payload", () => said++);
    client.say(...beats);
    await until(() => said === beats.length);
    assert.ok((sockets[0]?.writableLength ?? 0) < 2 ** 21 + 2 ** 17, `${sockets[0]?.writableLength} bytes`);
    const [session] = [...server.sessions];
    assert.equal(session?.state, "present");
    client.socket.resume();
    await until(() => sockets[0]?.writableLength === 0);
    client.socket.destroy();
    acceptor.close();
  });

  test("listens for datagrams once", async () => {
    await using server = new HeartbeatServer();
    await server.listenUdp(here);
    await assert.rejects(server.listenUdp(here), { code: "bad-option", message: /already/ });
  });

  test("sends what is given within session once", async () => {
    await using server = new HeartbeatServer();
    server.on("session", (session) => session.send("welcome"));
    const { port } = await server.listen(here);
    const client = await RawClient.connect(port);
    await client.hello();
    client.say({ type: "beat", number: 1, sendEveryMs: 0, received: 0, payload: Buffer.alloc(0) });
    await client.next("answer");
    assert.equal(client.heard.filter(({ type }) => type === "data").length, 1);
    client.socket.destroy();
  });

  for (const options of [
    { maxSessions: Number.NaN },
    { maxGreetings: 0 },
    { maxPayload: 1.5 },
    { handshake: 0 },
  ] as HeartbeatServerOptions[])
    test(`${JSON.stringify(options)} is refused`, () => {
      assert.throws(() => new HeartbeatServer(options), { code: "bad-option" });
    });

  test("a signal may end any number of heartbeats", async () => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error): number => warnings.push(warning);
    process.on("warning", onWarning);
    const abort = new AbortController();
    const adapter = { listen: () => () => {}, beat() {}, close() {} };
    const beats = Array.from({ length: 20 }, () => heartbeat(adapter, "normal", { signal: abort.signal }));
    await new Promise(setImmediate);
    abort.abort();
    assert.ok(beats.every(({ active }) => !active));
    assert.deepEqual(warnings, []);
    process.off("warning", onWarning);
  });
});

describe("a server whose listeners throw, or whose store fails", { timeout: 30_000 }, () => {
  test("goes on whatever the listeners of its events do", async () => {
    await using server = new HeartbeatServer({ maxGreetings: 1 });
    const { port } = await server.listen(here);
    const events = ["session", "offline", "resumed", "end", "refused"] as const;
    const thrown = await thrownDuring(async () => {
      for (const name of events)
        server.on(name, () => {
          throw new Error(name);
        });
      const first = await RawClient.connect(port);
      const { session, token } = await first.hello();
      first.socket.destroy();
      await until(() => [...server.sessions].every(({ state }) => state === "away"));
      const again = await RawClient.connect(port);
      await again.hello({ session, token });
      again.say({ type: "bye", reason: "done", text: "" });
      await again.ended;
      const stranger = await RawClient.connect(port);
      stranger.socket.write("GET / HTTP/1.1\r\n\r\n");
      await stranger.ended;
      await new Promise(setImmediate);
    });
    assert.deepEqual([...new Set(thrown)].sort(), [...events].sort());
    assert.equal(server.sessionCount, 0);
  });

  test("a message whose listener throws is not acknowledged, and comes again", async () => {
    await using server = new HeartbeatServer();
    const { port } = await server.listen(here);
    const seen: string[] = [];
    const verdicts: string[] = [];
    server.on("offline", (_, { state }) => verdicts.push(state));
    server.on("data", (session, payload) => {
      seen.push(Buffer.from(payload).toString());
      // Nothing of the client's doing: an error of this project's, too, must not be held against it.
      if (seen.length === 1) session.send(Buffer.alloc(2 ** 21));
    });
    const connection = new LongConnection({
      to: `tcp://127.0.0.1:${port}`,
      backoff: { first: "20ms", most: "40ms" },
    });
    const thrown = await thrownDuring(async () => {
      connection.send("one");
      connection.send("two");
      await until(() => seen.length >= 3);
    });
    assert.equal(thrown.length, 1);
    assert.match(thrown[0] ?? "", /longer than the 1048576 allowed/);
    assert.deepEqual(seen, ["one", "one", "two"]);
    assert.deepEqual(verdicts, ["local"]);
    await connection.close();
  });

  test("a session that cannot be kept is refused, as often as it is asked for", async () => {
    await using server = new HeartbeatServer({ store: store("journal"), maxGreetings: 1 });
    const { port } = await server.listen(here);
    for (let n = 0; n < 3; n++) {
      const client = await RawClient.connect(port);
      client.say(plainHello);
      const { reason, text } = (await client.next("bye")) as Bye;
      assert.deepEqual(
        [reason, text],
        ["evicted", "the session cannot be kept: journal: no space left on device"],
      );
      await client.ended;
    }
    assert.equal(server.sessionCount, 0);
    // Each was counted as many times as it came: there is room for one still, and not for two.
    const silent = await RawClient.connect(port);
    const refused = once(server, "refused");
    const second = await RawClient.connect(port);
    assert.match((await refused)[1], /too many connections/);
    for (const { socket } of [silent, second]) socket.destroy();
  });

  test("a message that cannot be written down is not acknowledged, and the client is not blamed", async () => {
    await using server = new HeartbeatServer({ store: store("received") });
    const { port } = await server.listen(here);
    const client = await RawClient.connect(port);
    const offline = once(server, "offline");
    await client.hello();
    client.say({ type: "data", sequence: 1, payload: Buffer.of(1) });
    const { reason, text } = (await client.next("bye")) as Bye;
    assert.deepEqual(
      [reason, text],
      ["evicted", "the session cannot be kept: received: no space left on device"],
    );
    assert.match((await offline)[1].sentence, /cannot be kept/);
    assert.ok(!client.heard.some(({ type }) => type === "acknowledgement"));
  });

  test("a session whose end cannot be written down ends all the same", async () => {
    await using server = new HeartbeatServer({ store: store("ended") });
    const { port } = await server.listen(here);
    const client = await RawClient.connect(port);
    await client.hello();
    const warned = once(process, "warning");
    const ended = once(server, "end");
    client.say({ type: "bye", reason: "done", text: "" });
    await ended;
    assert.match(((await warned) as [Error])[0].message, /cannot be kept: ended/);
    assert.equal(server.sessionCount, 0);
  });
});
