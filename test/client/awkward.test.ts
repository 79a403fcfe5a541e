import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { LongConnection } from "../../src/client/long-connection.js";
import { encode } from "../../src/heartbeat/protocol/encode.js";
import type { SessionJournal, SessionStore } from "../../src/heartbeat/session/journal.js";
import { HeartbeatServer } from "../../src/server/heartbeat-server.js";
import { plainHello } from "../server/raw-client.js";
import { thrownDuring } from "../support/thrown.js";
import { until } from "../support/until.js";

const quick = { backoff: { first: "20ms", most: "40ms" }, watchNetwork: false } as const;
const hello = encode({ ...plainHello, session: Buffer.alloc(16, 1) });
const turn = (): Promise<unknown> => new Promise(setImmediate);

/** A server that does as `behave` says. */
async function serverThat(behave: (socket: Socket) => void): Promise<{ server: Server; to: string }> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {});
    behave(socket);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return { server, to: `tcp://127.0.0.1:${(server.address() as { port: number }).port}` };
}

function storeThat(fails: keyof SessionJournal, also: Partial<SessionStore> = {}): SessionStore {
  const names = ["named", "pushed", "dropped", "acknowledged", "received", "ended"] as const;
  const journal = Object.fromEntries(
    names.map((name) => [
      name,
      () => {
        if (name === fails) throw new Error(`${name}: no space left on device`);
      },
    ]),
  ) as unknown as SessionJournal;
  return {
    load: () => ({ secret: null, sessions: [] }),
    keepSecret() {},
    journal: () => journal,
    close() {},
    ...also,
  };
}

describe("a long connection and servers that are no good", { timeout: 30_000 }, () => {
  test("one that takes the hello and then knows no session is not asked without a pause", async () => {
    let met = 0;
    const { server, to } = await serverThat((socket) => {
      met++;
      socket.end(Buffer.concat([hello, encode({ type: "bye", reason: "unknown-session", text: "" })]));
    });
    const connection = new LongConnection({ to, watchNetwork: false, backoff: { first: "1h", most: "1h" } });
    await once(connection, "offline");
    await until(() => connection.state === "waiting");
    assert.equal(met, 1);
    connection.leave();
    server.close();
  });

  test("one that goes on talking after the goodbye does not keep the socket", async () => {
    let closed = false;
    const { server, to } = await serverThat((socket) => {
      socket.write(hello);
      const trickle = setInterval(() => socket.write(Buffer.from("0700000100", "hex")), 100);
      socket.resume().on("close", () => {
        clearInterval(trickle);
        closed = true;
      });
    });
    const connection = new LongConnection({ to, ...quick });
    await once(connection, "online");
    await connection.close();
    await until(() => closed);
    server.close();
  });

  test("no route for datagrams is one failed attempt", async () => {
    // A broadcast address: connect(2) refuses it without SO_BROADCAST, as it does where no route leads.
    const connection = new LongConnection({
      to: "udp://255.255.255.255:9",
      key: new Uint8Array(32),
      ...quick,
    });
    const [{ problem }] = await once(connection, "retry");
    assert.match(problem, /connect E/);
    connection.leave();
  });
});

describe("a long connection and listeners that throw", { timeout: 30_000 }, () => {
  let server: HeartbeatServer;
  let to: string;
  before(async () => {
    server = new HeartbeatServer();
    server.on("data", (session, payload) => session.send(payload));
    to = `tcp://127.0.0.1:${(await server.listen({ port: 0, host: "127.0.0.1" })).port}`;
  });
  after(() => server.close());

  test("it goes on whatever the listeners of its events do", async () => {
    const connection = new LongConnection({ to, ...quick });
    const thrown = await thrownDuring(async () => {
      for (const name of ["state", "online", "offline", "retry"] as const)
        connection.on(name, () => {
          throw new Error(name);
        });
      await until(() => connection.state === "online");
      for (const session of server.sessions) session.evict("try again");
      await until(() => connection.state !== "online");
      await until(() => connection.state === "online");
      connection.send("there and back");
      await new Promise((resolve) => connection.prependListener("data", resolve));
      await turn();
    });
    for (const name of ["state", "online", "offline", "retry"]) assert.ok(thrown.includes(name), name);
    connection.removeAllListeners();
    await connection.close();
  });

  test("a message whose listener throws is not acknowledged, and comes again; the server is not blamed", async () => {
    const connection = new LongConnection({ to, ...quick, queue: { messages: 2 } });
    const seen: string[] = [];
    const verdicts: string[] = [];
    connection.on("offline", ({ state }) => verdicts.push(state));
    connection.on("data", (payload) => {
      seen.push(Buffer.from(payload).toString());
      if (seen.length > 1) return;
      connection.send("fills the queue");
      connection.send("is refused");
    });
    const thrown = await thrownDuring(async () => {
      connection.send("one");
      await until(() => seen.length >= 3);
    });
    assert.equal(thrown.length, 1);
    assert.match(thrown[0] ?? "", /wait for the peer already/);
    assert.deepEqual(seen, ["one", "one", "fills the queue"]);
    assert.deepEqual(verdicts, ["local"]);
    await connection.close();
  });

  for (const event of ["online", "state", "data", "offline", "retry"] as const)
    for (const how of ["close", "leave", "abort"] as const)
      test(`${how} within "${event}" ends it, once`, async () => {
        const other = new HeartbeatServer();
        other.on("session", (session) => session.send("hello"));
        const { port } = await other.listen({ port: 0, host: "127.0.0.1" });
        const abort = new AbortController();
        const connection = new LongConnection({
          to: `tcp://127.0.0.1:${port}`,
          ...quick,
          signal: abort.signal,
        });
        let closed = 0;
        connection.on("closed", () => closed++);
        const thrown = await thrownDuring(async () => {
          connection.once(event, () => {
            if (how === "close") void connection.close();
            else if (how === "leave") connection.leave();
            else abort.abort();
          });
          if (event === "offline" || event === "retry") {
            await once(connection, "online");
            for (const session of other.sessions) session.evict("go");
          }
          await until(() => connection.state === "closed");
          await turn();
        });
        assert.deepEqual(thrown, []);
        assert.equal(closed, 1);
        await other.close();
      });

  test(`close within "forgotten" ends it`, async () => {
    const first = new HeartbeatServer();
    const { port } = await first.listen({ port: 0, host: "127.0.0.1" });
    const connection = new LongConnection({ to: `tcp://127.0.0.1:${port}`, ...quick });
    await once(connection, "online");
    connection.on("forgotten", () => void connection.close());
    const thrown = await thrownDuring(async () => {
      await first.close();
      const second = new HeartbeatServer();
      await second.listen({ port, host: "127.0.0.1" });
      await until(() => connection.state === "closed");
      await second.close();
    });
    assert.deepEqual(thrown, []);
  });
});

describe("a long connection whose store fails", { timeout: 30_000 }, () => {
  let server: HeartbeatServer;
  let to: string;
  before(async () => {
    server = new HeartbeatServer();
    server.on("data", (session, payload) => session.send(payload));
    to = `tcp://127.0.0.1:${(await server.listen({ port: 0, host: "127.0.0.1" })).port}`;
  });
  after(() => server.close());

  for (const fails of ["named", "acknowledged", "received"] as const)
    test(`at ${fails}: the connection ends, says so, and tries again`, async () => {
      const connection = new LongConnection({ to, ...quick, store: storeThat(fails) });
      connection.send("a");
      const [[{ state, sentence }], [{ problem }]] = await Promise.all([
        once(connection, "offline"),
        once(connection, "retry"),
      ]);
      assert.equal(state, "evicted");
      assert.match(sentence, new RegExp(`the session cannot be kept: ${fails}: no space left`));
      assert.match(problem, /no space left/);
      await connection.close({ withinMs: 10 });
      assert.equal(connection.state, "closed");
    });

  test("at the very end: it is closed all the same", async () => {
    let released = false;
    const store = storeThat("ended", { close: () => (released = true) });
    const connection = new LongConnection({ to, ...quick, store });
    await once(connection, "online");
    const warned = once(process, "warning");
    await connection.close();
    assert.match(((await warned) as [Error])[0].message, /cannot be kept: ended/);
    assert.ok(released);
  });

  test("leave within data: that message is written down before the store is closed", async () => {
    const doings: string[] = [];
    const store = storeThat("dropped", { close: () => doings.push("close") });
    store.journal("").received = (sequence) => doings.push(`received ${sequence}`);
    const connection = new LongConnection({ to, ...quick, store });
    connection.on("data", () => connection.leave());
    connection.send("quit");
    await until(() => connection.state === "closed");
    await turn();
    assert.deepEqual(doings, ["received 1", "close"]);
  });
});
