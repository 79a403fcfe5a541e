import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync, readlinkSync } from "node:fs";
import { after, describe, test } from "node:test";
import { LongConnection } from "../../../src/client/long-connection.js";
import { encode } from "../../../src/heartbeat/protocol/encode.js";
import type { Beat } from "../../../src/heartbeat/protocol/message.js";
import { HeartbeatServer } from "../../../src/server/heartbeat-server.js";
import type { HeartbeatServerOptions } from "../../../src/server/options.js";
import type { Session, SessionEnd } from "../../../src/server/session.js";
import { VirtualClock } from "../../../src/time/virtual-clock.js";
import type { Verdict } from "../../../src/verdict/verdict.js";
import { reset } from "../../support/reset.js";
import { until } from "../../support/until.js";
import { plainHello, RawClient } from "../raw-client.js";
import { builtSource, runModule } from "../../kernel/support.js";

const beat = (number: number): Beat => ({
  type: "beat",
  number,
  sendEveryMs: 0,
  received: 0,
  payload: Buffer.alloc(0),
});

/** Descriptors of this process, by what they are. */
function sockets(): number {
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:");
    } catch {
      return false;
    }
  }).length;
}

interface Met {
  readonly server: HeartbeatServer;
  readonly client: RawClient;
  readonly session: Session;
}

describe("a server that parks", { timeout: 60_000 }, () => {
  const open: AsyncDisposable[] = [];
  after(async () => {
    for (const thing of open) await thing[Symbol.asyncDispose]();
  });

  async function listening(options: HeartbeatServerOptions = {}): Promise<[HeartbeatServer, number]> {
    const server = new HeartbeatServer({ parking: { after: "10ms" }, ...options });
    open.push(server);
    const { port } = await server.listen({ port: 0, host: "127.0.0.1" });
    return [server, port];
  }

  /** A client whose session is parked. */
  async function met(options: HeartbeatServerOptions = {}): Promise<Met> {
    const [server, port] = await listening(options);
    const client = await RawClient.connect(port);
    const came = once(server, "session") as Promise<[Session]>;
    await client.hello();
    const [session] = await came;
    await until(() => server.parkedCount === 1);
    return { server, client, session };
  }

  test("answers beats without a socket, and knows who is there and when it was heard", async () => {
    const { server, client, session } = await met();
    assert.equal(session.state, "present");
    assert.equal(session.transport, "tcp");
    assert.equal(session.remote?.address, "127.0.0.1");
    assert.equal(session.remote?.port, client.socket.localPort);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.ok(session.silentMs >= 90, `${session.silentMs}`);
    client.say(beat(1));
    assert.equal(((await client.next("answer")) as Beat).number, 1);
    assert.ok(session.silentMs < 90, `${session.silentMs}`);
    assert.equal(server.parkedCount, 1);
  });

  test("what comes and what is sent takes it out, and after a quiet time it is back", async () => {
    const { server, client, session } = await met();
    const data = once(server, "data") as Promise<[Session, Uint8Array, number]>;
    client.say({ type: "data", sequence: 1, payload: Buffer.from("one") });
    const [, payload, sequence] = await data;
    assert.deepEqual([Buffer.from(payload).toString(), sequence], ["one", 1]);
    await until(() => server.parkedCount === 1);
    client.say(beat(1));
    assert.equal(((await client.next("answer")) as Beat).received, 1, "the lot knows what was received");
    session.send("two");
    assert.equal(session.queued, 1);
    assert.equal(((await client.next("data")) as unknown as { payload: Buffer }).payload.toString(), "two");
    client.say({ type: "acknowledgement", received: 1 });
    await until(() => session.queued === 0);
    await until(() => server.parkedCount === 1);
    // What was acknowledged stays so in each beat, which changes nothing.
    client.say({ ...beat(2), received: 1 });
    await until(() => client.heard.filter(({ type }) => type === "answer").length === 2);
    assert.equal(server.parkedCount, 1);
  });

  test("a payload for answers takes everybody out, and lets them back when there is none", async () => {
    const { server, client } = await met();
    server.payload = () => "news";
    await until(() => server.parkedCount === 0);
    client.say(beat(1));
    assert.equal(Buffer.from(((await client.next("answer")) as Beat).payload).toString(), "news");
    server.payload = null;
    await until(() => server.parkedCount === 1);
  });

  test("closing, evicting and coming back over another connection say goodbye to a parked one", async () => {
    for (const [act, reason, state] of [
      [(session: Session) => session.close("enough"), "done", "ended"],
      [(session: Session) => session.evict("too idle"), "evicted", "away"],
    ] as const) {
      const { client, session } = await met();
      act(session);
      assert.equal(session.state, state);
      const bye = (await client.next("bye")) as unknown as { reason: string };
      assert.equal(bye.reason, reason);
      await client.ended;
    }
    const [server, port] = await listening();
    const first = await RawClient.connect(port);
    const { session, token } = await first.hello();
    await until(() => server.parkedCount === 1);
    const second = await RawClient.connect(port);
    await second.hello({ session, token });
    assert.equal(((await first.next("bye")) as unknown as { reason: string }).reason, "replaced");
    await first.ended;
    await until(() => server.parkedCount === 1);
    second.say(beat(1));
    assert.equal((await second.next("answer"))?.type, "answer");
    assert.equal(server.sessionCount, 1);
  });

  for (const parking of [{ after: "10ms" }, false])
    for (const [what, end, state] of [
      ["FIN", (client: RawClient) => client.socket.end(), "closed"],
      ["RST", (client: RawClient) => reset(client.socket), "reset"],
    ] as const)
      test(`a ${what} is told, though the client is back before anybody has read it, parking ${JSON.stringify(parking)}`, async () => {
        const [server, port] = await listening({ parking });
        const told: string[] = [];
        server.on("offline", (_, verdict) => told.push(verdict.state));
        server.on("resumed", () => told.push("resumed"));
        const first = await RawClient.connect(port);
        const { session, token } = await first.hello();
        if (parking !== false) await until(() => server.parkedCount === 1);
        const second = await RawClient.connect(port);
        const hello = encode({ ...plainHello, session, token });
        // In two parts, so that it is the main thread that reads the end of it, at once.
        second.socket.write(hello.subarray(0, 7));
        await until(() => server.snapshot().sockets === (parking === false ? 2 : 1));
        end(first);
        second.socket.write(hello.subarray(7));
        await until(() => told.includes("resumed"));
        assert.deepEqual(told, [state, "resumed"]);
        await first.ended;
      });

  for (const [what, end, states] of [
    ["FIN", (client: RawClient) => client.socket.end(), ["closed"]],
    ["RST", (client: RawClient) => reset(client.socket), ["reset"]],
    ["goodbye", (client: RawClient) => client.say({ type: "bye", reason: "done", text: "" }), ["closed"]],
  ] as const)
    test(`a ${what} gives the verdict that it gives without parking`, async () => {
      const { server, client } = await met();
      const offline = once(server, "offline") as Promise<[Session, Verdict]>;
      end(client);
      const [, { state }] = await offline;
      assert.ok((states as readonly string[]).includes(state), state);
    });

  test("a client that goes silent is asked, suspected and given up in the same time", async () => {
    const detect = { idle: "300ms", interval: "100ms", count: 3 } as const;
    const took: number[] = [];
    for (const parking of [false, { after: "10ms" }]) {
      const [server, port] = await listening({ parking, detect });
      const client = await RawClient.connect(port);
      const came = once(server, "session");
      await client.hello();
      await came;
      const suspect = once(server, "suspect");
      const offline = once(server, "offline") as Promise<[Session, Verdict]>;
      const from = performance.now();
      await suspect;
      const [, verdict] = await offline;
      took.push(performance.now() - from);
      // Its kernel has acknowledged what its program did not answer.
      assert.deepEqual(
        [verdict.state, verdict.timer, verdict.certainty],
        ["unresponsive", "heartbeat", "certain"],
      );
      client.socket.destroy();
    }
    for (const ms of took) assert.ok(ms >= 240 && ms < 900, `${took.join(" and ")} ms`);
  });

  test("a long connection stays parked, is told of what is sent, and of the end", async () => {
    const [server, port] = await listening({ detect: { idle: "1s", interval: "200ms", count: 3 } });
    const connection = new LongConnection({
      to: `tcp://127.0.0.1:${port}`,
      detect: { idle: "200ms", interval: "100ms", count: 3 },
    });
    open.push(connection);
    const offline: unknown[] = [];
    connection.on("offline", (verdict) => offline.push(verdict));
    const [session] = (await once(server, "session")) as [Session];
    await until(() => server.parkedCount === 1);
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    assert.deepEqual(offline, []);
    assert.ok(session.silentMs < 1_000);
    const data = once(connection, "data") as Promise<[Uint8Array]>;
    session.send("wake up");
    assert.equal(Buffer.from((await data)[0]).toString(), "wake up");
    await until(() => session.queued === 0);
    const end = once(server, "end") as Promise<[Session, SessionEnd]>;
    await connection.close();
    assert.equal((await end)[1], "bye");
  });

  test("a close tells everybody, and leaves no descriptor behind", async () => {
    const before = sockets();
    const server = new HeartbeatServer({ parking: { after: "10ms" } });
    const { port } = await server.listen({ port: 0, host: "127.0.0.1" });
    const clients: RawClient[] = [];
    for (let n = 0; n < 200; n++) clients.push(await RawClient.connect(port));
    for (const client of clients) await client.hello();
    await until(() => server.parkedCount === 200);
    // A session is one descriptor, as without a lot.
    assert.ok(sockets() - before <= 401, `${sockets() - before}`);
    await server.close();
    for (const client of clients) {
      assert.equal(((await client.next("bye")) as unknown as { reason: string }).reason, "shutdown");
      await client.ended;
    }
    assert.equal(server.parkedCount, 0);
    await until(() => sockets() <= before);
  });

  test("a process that ends with parked sessions ends at once", () => {
    const { status, stdout, stderr } = runModule(`
      const { HeartbeatServer } = await import(src + "server/index.js");
      const { LongConnection } = await import(src + "client/index.js");
      const server = new HeartbeatServer({ parking: { after: "5ms" } });
      const { port } = await server.listen({ port: 0, host: "127.0.0.1" });
      new LongConnection({ to: "tcp://127.0.0.1:" + port });
      while (server.parkedCount === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      const from = performance.now();
      process.on("exit", () => console.log("parked"));
      process.exit(7);
    `);
    assert.equal(stderr, "");
    assert.deepEqual([status, stdout], [7, "parked\n"], builtSource.href);
  });

  test("a process without descriptors to spare goes on without parking, and parks when there are some", () => {
    const { status, stdout, stderr } = runModule(
      `
      const { openSync, closeSync } = await import("node:fs");
      const { HeartbeatServer } = await import(src + "server/heartbeat-server.js");
      const { LongConnection } = await import(src + "client/index.js");
      const server = new HeartbeatServer({ parking: { after: "5ms" } });
      const { port } = await server.listen({ port: 0, host: "127.0.0.1" });
      const detect = { idle: "100ms", interval: "50ms", count: 20 };
      const connection = new LongConnection({ to: "tcp://127.0.0.1:" + port, detect });
      connection.on("offline", (verdict) => console.log(verdict.sentence));
      const until = async (holds) => { while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5)); };
      await until(() => server.parkedCount === 1);
      const taken = [];
      try { for (;;) taken.push(openSync("/dev/null", "r")); } catch (error) { console.log(error.code); }
      const [session] = server.sessions;
      session.send("wake up");
      await until(() => server.parkedCount === 0 && session.queued === 0);
      await new Promise((resolve) => setTimeout(resolve, 500));
      console.log(server.parkedCount, session.state, session.silentMs < 400);
      for (const fd of taken) closeSync(fd);
      await until(() => server.parkedCount === 1);
      console.log("parked");
      process.exit();
    `,
      ["prlimit", "--nofile=128"],
    );
    assert.equal(stderr, "");
    assert.deepEqual([status, stdout], [0, "EMFILE\n0 present true\nparked\n"]);
  });

  test("what cannot be is refused in words", () => {
    assert.throws(() => new HeartbeatServer({ parking: true, clock: new VirtualClock() }), {
      code: "bad-option",
    });
    assert.throws(() => new HeartbeatServer({ parking: { after: "soon" } }), { code: "bad-duration" });
  });

  test("what is no goodbye is still a stream of messages: a payload in a beat reaches the application", async () => {
    const { server, client } = await met();
    const said = once(server, "payload") as Promise<[Session, Uint8Array]>;
    const whole = encode({ ...beat(1), payload: Buffer.from("load") });
    // In halves, one of which is read in the lot and one outside.
    client.socket.write(whole.subarray(0, 9));
    await until(() => server.parkedCount === 0);
    client.socket.write(whole.subarray(9));
    assert.equal(Buffer.from((await said)[1]).toString(), "load");
    assert.equal((await client.next("answer"))?.type, "answer");
  });
});
