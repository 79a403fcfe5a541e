import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { after, describe, test } from "node:test";
import { LongConnection } from "../../src/client/long-connection.js";
import type { LongConnectionOptions } from "../../src/client/options.js";
import { HeartbeatServer } from "../../src/server/heartbeat-server.js";
import type { HeartbeatServerOptions } from "../../src/server/options.js";
import type { Session } from "../../src/server/session.js";
import type { Verdict } from "../../src/verdict/verdict.js";
import { selfSigned } from "../support/certificate.js";
import { until } from "../support/until.js";

const certificate = selfSigned();
const key = randomBytes(32);
/** Sessions are parked as soon as they can be. */
const parkingWays = [false, { after: "10ms" }] as const;
const quick = { idle: "200ms", interval: "100ms", count: 3 };

/** A server that listens everywhere, and how its clients find it. */
async function serve(
  options: HeartbeatServerOptions = {},
): Promise<{ server: HeartbeatServer; ways: Record<string, LongConnectionOptions> }> {
  const server = new HeartbeatServer({ detect: quick, ...options });
  const tcp = await server.listen({ port: 0, host: "127.0.0.1" });
  const tls = await server.listenTls({ port: 0, host: "127.0.0.1", tls: certificate });
  const udp = await server.listenUdp({ port: 0, host: "127.0.0.1", key });
  const greet = `tcp://127.0.0.1:${tcp.port}`;
  const secure = { ca: certificate.cert };
  const base = { detect: quick, backoff: { first: "20ms", most: "100ms" } };
  return {
    server,
    ways: {
      tcp: { ...base, to: greet },
      tls: { ...base, to: `tls://127.0.0.1:${tls.port}`, tls: secure },
      "udp with a key": { ...base, to: `udp://127.0.0.1:${udp.port}`, key },
      "udp with a key from tcp": { ...base, to: `udp://127.0.0.1:${udp.port}`, greetAt: greet },
      "udp with a key from tls": {
        ...base,
        to: `udp://127.0.0.1:${udp.port}`,
        greetAt: `tls://127.0.0.1:${tls.port}`,
        tls: secure,
      },
    },
  };
}

for (const parking of parkingWays)
  describe(`a long connection and a server, parking ${JSON.stringify(parking)}`, {
    timeout: 60_000,
    concurrency: true,
  }, () => {
    const open: AsyncDisposable[] = [];
    after(async () => {
      for (const thing of open) await thing[Symbol.asyncDispose]();
    });

    for (const way of [
      "tcp",
      "tls",
      "udp with a key",
      "udp with a key from tcp",
      "udp with a key from tls",
    ]) {
      test(`${way}: hello, data both ways in order, beats with payloads, a goodbye`, async () => {
        const { server, ways } = await serve({ parking });
        open.push(server);
        server.payload = () => "server's load";
        const connection = new LongConnection({
          ...(ways[way] as LongConnectionOptions),
          payload: () => "client's load",
        });
        open.push(connection);
        const fromClient: string[] = [];
        const fromServer: string[] = [];
        server.on("data", (_, payload) => fromClient.push(Buffer.from(payload).toString()));
        connection.on("data", (payload) => fromServer.push(Buffer.from(payload).toString()));
        const loads = Promise.all([once(server, "payload"), once(connection, "payload")]);
        const [[session], [online]] = (await Promise.all([
          once(server, "session"),
          once(connection, "online"),
        ])) as [[Session], [{ resumed: boolean; session: string }]];
        assert.deepEqual([online.resumed, online.session], [false, session.id]);
        assert.equal(session.transport, way.split(" ")[0]);
        const numbers = Array.from({ length: 200 }, (_, n) => String(n));
        for (const n of numbers) {
          connection.send(n);
          session.send(n);
        }
        await until(() => fromClient.length >= 200 && fromServer.length >= 200);
        assert.deepEqual(fromClient, numbers);
        assert.deepEqual(fromServer, numbers);
        const [[, fromC], [fromS]] = (await loads) as [[Session, Uint8Array], [Uint8Array]];
        assert.deepEqual(
          [Buffer.from(fromC).toString(), Buffer.from(fromS).toString()],
          ["client's load", "server's load"],
        );
        await until(() => connection.queued === 0 && session.queued === 0);
        const ended = once(server, "end") as Promise<[Session, string]>;
        await connection.close();
        assert.equal((await ended)[1], "bye");
        assert.equal(connection.state, "closed");
        assert.equal(server.sessionCount, 0);
        assert.throws(() => connection.send("late"), { code: "connection-closed" });
        assert.throws(() => session.send("late"), { code: "connection-closed" });
      });

      test(`${way}: cut off by an eviction, it comes back to its session, and nothing is lost or doubled`, async () => {
        const { server, ways } = await serve({ parking });
        open.push(server);
        const connection = new LongConnection(ways[way] as LongConnectionOptions);
        open.push(connection);
        const fromClient: string[] = [];
        const fromServer: string[] = [];
        server.on("data", (_, payload) => fromClient.push(Buffer.from(payload).toString()));
        connection.on("data", (payload) => fromServer.push(Buffer.from(payload).toString()));
        const verdicts: string[] = [];
        server.on("offline", (_, { state }) => verdicts.push(state));
        const [session] = (await once(server, "session")) as [Session];
        if (connection.state !== "online") await once(connection, "online");
        const sent: string[] = [];
        for (let round = 0; round < 5; round++) {
          for (let n = 0; n < 20; n++) {
            sent.push(`${round} ${n}`);
            connection.send(`${round} ${n}`);
            session.send(`${round} ${n}`);
          }
          // Over datagrams, the client is online a little before the server sees it.
          await until(() => session.state === "present");
          const back = once(connection, "online") as Promise<[{ resumed: boolean }]>;
          session.evict("a test");
          assert.equal(session.state, "away");
          session.send(`away ${round}`);
          assert.equal((await back)[0].resumed, true);
        }
        const expected = sent.flatMap((text, index) =>
          index % 20 === 19 ? [text, `away ${Math.floor(index / 20)}`] : [text],
        );
        await until(() => fromClient.length >= sent.length && fromServer.length >= expected.length);
        assert.deepEqual(fromClient, sent);
        assert.deepEqual(fromServer, expected);
        assert.deepEqual(
          verdicts.slice(0, 5),
          Array.from({ length: 5 }, () => "evicted"),
        );
        assert.equal(server.sessionCount, 1);
      });
    }

    test("a server that goes silent is given up in time, a client likewise", async () => {
      const { server, ways } = await serve({ parking });
      open.push(server);
      const connection = new LongConnection(ways["udp with a key"] as LongConnectionOptions);
      const [session] = (await once(server, "session")) as [Session];
      if (connection.state !== "online") await once(connection, "online");
      // It neither sends nor hears any more.
      const offline = once(server, "offline") as Promise<[Session, Verdict]>;
      const controller = new AbortController();
      connection.leave();
      controller.abort();
      assert.equal(connection.state, "closed");
      const [, verdict] = await offline;
      assert.ok(["closed", "unresponsive"].includes(verdict.state), verdict.sentence);
      assert.equal(session.state, "away");
    });
  });
