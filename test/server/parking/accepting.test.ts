import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { after, describe, test } from "node:test";
import { encode } from "../../../src/heartbeat/protocol/encode.js";
import type { Beat, Message } from "../../../src/heartbeat/protocol/message.js";
import { HeartbeatServer } from "../../../src/server/heartbeat-server.js";
import type { HeartbeatServerOptions } from "../../../src/server/options.js";
import type { Session } from "../../../src/server/session.js";
import type { Verdict } from "../../../src/verdict/verdict.js";
import { until } from "../../support/until.js";
import { runModule } from "../../kernel/support.js";
import { plainHello, RawClient } from "../raw-client.js";

const beat = (number: number): Beat => ({
  type: "beat",
  number,
  sendEveryMs: 0,
  received: 0,
  payload: Buffer.alloc(0),
});
const data = (sequence: number, text: string): Message => ({
  type: "data",
  sequence,
  payload: Buffer.from(text),
});

/** Hardly anybody is asked while the test runs, whatever the session's phase takes off the first wait. */
const patient = { idle: "10h", interval: "1m", count: 3 } as const;

/** Sockets of Node's in this process that are connected; a client is one of them. */
function sockets(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind === "TCPSocketWrap").length;
}

describe("a server whose lot accepts", { timeout: 60_000 }, () => {
  const open: AsyncDisposable[] = [];
  after(async () => {
    for (const thing of open) await thing[Symbol.asyncDispose]();
  });

  /** Nobody is parked but those who never had a socket. */
  async function listening(
    options: HeartbeatServerOptions = {},
    host = "127.0.0.1",
  ): Promise<[HeartbeatServer, number]> {
    const server = new HeartbeatServer({ parking: { after: "10h" }, detect: patient, ...options });
    open.push(server);
    const { port } = await server.listen({ port: 0, host });
    return [server, port];
  }

  test("a session that says hello and beats never has a socket", async () => {
    const [server, port] = await listening();
    const before = sockets();
    const client = await RawClient.connect(port);
    const hello = await client.hello({ sendEveryMs: 60_000 });
    assert.equal(server.parkedCount, 1);
    assert.equal(sockets(), before + 1, "the client's alone");
    for (let number = 1; number <= 3; number++) client.say({ ...beat(number), sendEveryMs: 60_000 });
    await until(() => client.heard.length === 4);
    assert.equal(server.parkedCount, 1);
    const session = server.session(Buffer.from(hello.session ?? []).toString("hex"));
    assert.equal(session?.state, "present");
    assert.equal(session.transport, "tcp");
    assert.deepEqual(session.remote, { address: "127.0.0.1", port: client.socket.localPort });
  });

  for (const [host, to, address] of [
    ["::1", "::1", "::1"],
    ["::", "::1", "::1"],
    ["::", "127.0.0.1", "::ffff:127.0.0.1"],
  ] as const)
    test(`the address of a client at ${to} of a server at ${host}`, async () => {
      const [server, port] = await listening({}, host);
      const came = once(server, "session") as Promise<[Session]>;
      const socket = connect({ port, host: to });
      await once(socket, "connect");
      socket.write(encode(plainHello));
      const [session] = await came;
      assert.deepEqual(session.remote, { address, port: socket.localPort });
      await until(() => server.parkedCount === 1);
      const offline = once(server, "offline") as Promise<[Session, Verdict]>;
      const { localPort } = socket;
      socket.resetAndDestroy();
      const [gone, verdict] = await offline;
      assert.equal(verdict.state, "reset");
      assert.deepEqual(gone.remote, { address, port: localPort }, "known after the end, too");
    });

  test("a hello byte by byte, and one with data behind it, need a socket, and lose nothing", async () => {
    const [server, port] = await listening();
    const seen: string[] = [];
    server.on("data", (_, payload) => seen.push(Buffer.from(payload).toString()));
    const slow = await RawClient.connect(port);
    slow.socket.setNoDelay(true);
    for (const byte of encode(plainHello)) {
      slow.socket.write(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.ok(await slow.next("hello"));
    const quick = await RawClient.connect(port);
    quick.say(plainHello, data(1, "one"), beat(7), data(2, "two"));
    assert.equal(((await quick.next("answer")) as Beat).number, 7);
    await until(() => seen.length === 2);
    assert.deepEqual(seen, ["one", "two"]);
    assert.equal(server.sessionCount, 2);
  });

  test("what the application does in its session event is done", async () => {
    const [server, port] = await listening();
    const actions: ((session: Session) => void)[] = [
      (session) => {
        for (let n = 1; n <= 40; n++) session.send(Buffer.alloc(100_000, n));
      },
      (session) => session.close("enough"),
      (session) => session.evict("not now"),
    ];
    server.on("session", (session) => actions.shift()?.(session));
    const told = await RawClient.connect(port);
    await told.hello();
    await until(() => told.heard.length === 41);
    assert.deepEqual(
      told.heard.slice(1).map((message) => message.type === "data" && message.sequence),
      Array.from({ length: 40 }, (_, n) => n + 1),
      "in order, and none twice",
    );
    for (const expected of ["done: enough", "evicted: not now"]) {
      const client = await RawClient.connect(port);
      client.say(plainHello);
      await client.ended;
      const [first, last] = client.heard;
      assert.equal(first?.type, "hello");
      assert.equal(last?.type === "bye" && `${last.reason}: ${last.text}`, expected);
    }
  });

  test("a client comes back over a new connection, parked or not, and nothing is doubled", async () => {
    const [server, port] = await listening();
    const first = await RawClient.connect(port);
    const { session: id, token } = await first.hello();
    const offline = once(server, "offline");
    first.socket.destroy();
    await offline;
    const session = server.session(Buffer.from(id ?? []).toString("hex"));
    session?.send("while away");
    const second = await RawClient.connect(port);
    second.say({ ...plainHello, session: id, token });
    const message = await second.next("data");
    assert.equal(message?.type === "data" && Buffer.from(message.payload).toString(), "while away");
    second.say({ type: "acknowledgement", received: 1 });
    const third = await RawClient.connect(port);
    third.say({ ...plainHello, session: id, token, received: 1 });
    assert.ok(await third.next("hello"));
    await second.ended;
    assert.equal(second.heard.at(-1)?.type, "bye");
    assert.equal(third.heard.length, 1);
    assert.equal(server.parkedCount, 1, "with nothing to say, it stays in the lot");
  });

  test("too many that say nothing are refused, and those who leave make room", async () => {
    const [server, port] = await listening({ maxGreetings: 3, handshake: "10s" });
    const refused: string[] = [];
    server.on("refused", (_, problem) => refused.push(problem));
    const silent: Socket[] = [];
    for (let n = 0; n < 3; n++) {
      const socket = connect({ port, host: "127.0.0.1" });
      socket.on("error", () => {});
      await once(socket, "connect");
      silent.push(socket);
    }
    // One of them has said a part of a hello: it still counts.
    silent[0]?.write(encode(plainHello).subarray(0, 6));
    await new Promise((resolve) => setTimeout(resolve, 100));
    const late = await RawClient.connect(port);
    await late.ended;
    assert.deepEqual(refused, ["too many connections that have not said hello"]);
    for (const socket of silent) socket.destroy();
    for (;;) {
      const client = await RawClient.connect(port);
      client.say(plainHello);
      if ((await client.next("hello")) !== undefined) break;
    }
    assert.ok(server.parkedCount >= 1);
  });

  for (const host of ["127.0.0.1", "::1"])
    test(`hellos that come to ${host} while the server closes make no sessions, and do not hold it up`, async () => {
      const [server, port] = await listening({}, host);
      const here = await Promise.all(Array.from({ length: 100 }, () => RawClient.connect(port, host)));
      await Promise.all(here.map((client) => client.hello()));
      const late = await Promise.all(Array.from({ length: 50 }, () => RawClient.connect(port, host)));
      await until(() => server.snapshot().greetings === 50);
      const told: string[] = [];
      server.on("session", () => told.push("session"));
      server.on("refused", (_, problem) => told.push(problem));
      const closed = server.close();
      for (const client of late) client.say(plainHello);
      await closed;
      await Promise.all([...here, ...late].map((client) => client.ended));
      assert.deepEqual(told, []);
      assert.equal(server.sessionCount, 0);
      assert.ok(late.every(({ heard }) => heard.length === 0));
      assert.ok(here.every(({ heard }) => heard.at(-1)?.type === "bye"));
    });

  test("several workers share the sessions, and each answers", async () => {
    const [server, port] = await listening({ parking: { after: "10h", workers: 3 } });
    const clients: RawClient[] = [];
    const many = 1_800;
    // The first wait is shorter by the session's phase: on a slow machine one or two may have to be asked already.
    const few = 20;
    for (let n = 0; n < many; n += 100) {
      const some = await Promise.all(Array.from({ length: 100 }, () => RawClient.connect(port)));
      await Promise.all(some.map((client) => client.hello()));
      clients.push(...some);
    }
    assert.ok(server.parkedCount >= many - few, `${server.parkedCount}`);
    const { parkedByWorker } = server.snapshot();
    assert.equal(parkedByWorker.length, 3);
    // A worker may be ahead of the least by what it was granted at a time.
    assert.ok(Math.min(...parkedByWorker) > 100, parkedByWorker.join(", "));
    for (const client of clients) client.say(beat(9));
    await until(() => clients.every(({ heard }) => heard.length === 2));
    assert.ok(server.parkedCount >= many - few, `${server.parkedCount}`);
    const ended = Promise.all(clients.map((client) => client.ended));
    await server.close();
    await ended;
    assert.ok(clients.every(({ heard }) => heard.at(-1)?.type === "bye"));
  });

  test("a process without descriptors ends who comes, without spinning, and accepts when there are some", () => {
    const { status, stdout, stderr } = runModule(
      `
      const { openSync, closeSync } = await import("node:fs");
      const { spawn } = await import("node:child_process");
      const { HeartbeatServer } = await import(src + "server/heartbeat-server.js");
      const { RawClient } = await import(src + "../test/server/raw-client.js");
      const server = new HeartbeatServer({ parking: true });
      const { port } = await server.listen({ port: 0, host: "127.0.0.1" });
      const lines = [];
      server.on("refused", (_, problem) => lines.push(problem));
      // Clients of another process: this one has no descriptors for them.
      const clients = spawn(process.execPath, ["-e", \`
        const { connect } = require("node:net");
        let closed = 0;
        process.stdin.once("data", () => {
          for (let n = 0; n < 20; n++)
            connect(\${port}, "127.0.0.1").on("error", () => {}).on("close", () => {
              if (++closed === 20) process.stdout.write("closed");
            });
        });
        process.stdout.write("ready");
      \`], { stdio: ["pipe", "pipe", "inherit"] });
      const said = () => new Promise((resolve) => clients.stdout.once("data", resolve));
      await said();
      const taken = [];
      try { for (;;) taken.push(openSync("/dev/null")); } catch {}
      const closed = said();
      clients.stdin.write("go");
      await closed;
      const before = process.cpuUsage();
      await new Promise((resolve) => setTimeout(resolve, 500));
      const { user, system } = process.cpuUsage(before);
      for (const fd of taken) closeSync(fd);
      const late = await RawClient.connect(port);
      lines.push((await late.hello()).type, server.parkedCount);
      late.socket.destroy();
      clients.kill();
      await server.close();
      console.log(JSON.stringify({ lines, cpuMs: (user + system) / 1000 }));
    `,
      ["prlimit", "--nofile=128"],
    );
    assert.equal(stderr, "");
    assert.equal(status, 0);
    const { lines, cpuMs } = JSON.parse(stdout) as { lines: unknown[]; cpuMs: number };
    assert.deepEqual(lines.slice(-2), ["hello", 1]);
    assert.deepEqual(
      lines.slice(0, -2),
      Array.from({ length: 20 }, () => "this process has no descriptors left"),
    );
    assert.ok(cpuMs < 250, `${cpuMs} ms of processor time in half a second of nothing`);
  });
});
