import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { describe, test, type TestContext } from "node:test";
import { type GovernorPolicy, governServer } from "../../../src/server/index.js";
import { until } from "../../support/until.js";
import { closed, connected, evicted, hosts, listening, received } from "./support.js";

const hello: RequestListener = (request, response) => {
  request.resume();
  request.on("end", () => response.end("hello"));
};

async function governed(
  t: TestContext,
  policy: GovernorPolicy,
  host: string,
  listener: RequestListener = hello,
) {
  const server = createServer({ keepAliveTimeout: 0 }, listener);
  const governor = governServer(server, policy);
  const port = await listening(t, server, host);
  return { server, governor, port };
}

for (const host of hosts)
  describe(`a governed http server on ${host}`, () => {
    test("closes a connection that says nothing", async (t) => {
      const { server, governor, port } = await governed(t, { firstByte: "150ms" }, host);
      const client = await connected(t, port, host);
      const { reason, verdict } = await evicted(governor);
      assert.equal(reason, "first-byte");
      assert.equal(verdict.state, "evicted");
      assert.equal(verdict.certainty, "certain");
      assert.match(verdict.sentence, /no byte came within 150ms/);
      assert.equal(await received(client), "");
      await closed(server, client);
      await until(() => governor.size === 0);
    });

    test("answers a head that is not completed with 408, the first and a later one", async (t) => {
      const { server, governor, port } = await governed(t, { head: "300ms" }, host);
      const first = await connected(t, port, host);
      first.write("GET / HTTP/1.1\r\nhost: a\r\n");
      const answer = received(first);
      assert.equal((await evicted(governor)).reason, "head");
      assert.match(await answer, /^HTTP\/1.1 408 /);
      const second = await connected(t, port, host);
      second.write("GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n");
      const both = received(second);
      const trickle = setInterval(() => second.write("x: y\r\n"), 50);
      assert.equal((await evicted(governor)).reason, "head");
      clearInterval(trickle);
      assert.match(await both, /^HTTP\/1.1 200 [^]*hello[^]*HTTP\/1.1 408 /);
      await closed(server, first, second);
    });

    test("closes a connection whose body trickles, and not one whose body flows", async (t) => {
      const policy = { body: { bytesPerSecond: 1_000, window: "300ms" } };
      const { server, governor, port } = await governed(t, policy, host);
      const head = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 100000\r\n\r\n";
      const [slow, quick] = [await connected(t, port, host), await connected(t, port, host)];
      slow.write(head);
      quick.write(head);
      const answer = received(quick);
      let written = 0;
      const trickle = setInterval(() => {
        slow.write("x");
        if (written < 100_000) quick.write("x".repeat(2_000));
        written += 2_000;
      }, 20);
      const { reason, connection } = await evicted(governor);
      assert.equal(reason, "body");
      assert.equal(connection.remote.port, slow.localPort);
      assert.match(await answer, /^HTTP\/1.1 200 /);
      clearInterval(trickle);
      assert.equal(governor.snapshot().evicted.body, 1);
      await closed(server, slow, quick);
    });

    test("closes a connection that does not take its response", async (t) => {
      const policy = { body: { bytesPerSecond: 1_000, window: "300ms" }, idle: "200ms" };
      const { server, governor, port } = await governed(t, policy, host, (_request, response) => {
        response.end(Buffer.alloc(30_000_000));
      });
      const client = await connected(t, port, host);
      client.pause();
      client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
      assert.equal((await evicted(governor)).reason, "slow-read");
      await closed(server, client);
    });

    test("does not call a request in flight idle, and calls its connection idle afterwards", async (t) => {
      const { server, governor, port } = await governed(t, { idle: "300ms" }, host, (_request, response) => {
        setTimeout(() => response.end("late"), 900);
      });
      const client = await connected(t, port, host);
      client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
      const answer = received(client);
      const { reason, connection } = await evicted(governor);
      assert.equal(reason, "idle");
      assert.equal(connection.phase, "idle");
      assert.match(await answer, /^HTTP\/1.1 200 [^]*late/);
      await closed(server, client);
    });

    test("does not blame a client for a body that it was not told to send", async (t) => {
      const policy = { body: { bytesPerSecond: 1_000, window: "200ms" } };
      const { server, governor, port } = await governed(t, policy, host);
      server.on("checkContinue", (request: IncomingMessage, response: ServerResponse) => {
        setTimeout(() => {
          response.writeContinue();
          hello(request, response);
        }, 800);
      });
      const client = await connected(t, port, host);
      client.write("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n");
      assert.match(String(await once(client, "data")), /^HTTP\/1.1 100 /);
      client.write("body");
      assert.match(String(await once(client, "data")), /^HTTP\/1.1 200 /);
      assert.equal(governor.snapshot().evicted.body, 0);
    });

    for (const [asked, event] of [
      ["GET /", "upgrade"],
      ["CONNECT a:1", "connect"],
    ] as const)
      test(`a ${event} that is not answered yet is a request in flight`, async (t) => {
        const { server, governor, port } = await governed(
          t,
          { idle: "200ms", total: 1, atLimit: "evict" },
          host,
        );
        server.on(event, (_request: IncomingMessage, socket: Socket) => {
          setTimeout(() => socket.write("HTTP/1.1 101 Switching Protocols\r\n\r\n"), 1_500);
        });
        const client = await connected(t, port, host);
        const answer = once(client, "data");
        client.write(`${asked} HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n`);
        await once(server, event);
        const another = await connected(t, port, host);
        assert.equal(await received(another), "");
        assert.equal(governor.connections()[0]?.phase, "request");
        const gone = evicted(governor);
        // It is finished before the connection is ended.
        const drained = governor.drain({ within: "20s" });
        assert.match(String(await answer), /^HTTP\/1.1 101 /);
        const { reason, connection } = await gone;
        assert.equal(connection.phase, "open");
        assert.ok(reason === "idle" || reason === "drain");
        client.destroy();
        assert.equal((await drained).cutOff, 0);
      });

    test("refuses one connection too many of a client", async (t) => {
      const { server, governor, port } = await governed(t, { total: 3, perClient: 2 }, host);
      const clients = [await connected(t, port, host), await connected(t, port, host)];
      const third = await connected(t, port, host);
      assert.equal(await received(third), "");
      assert.equal(governor.snapshot().refused["per-client"], 1);
      clients[0]?.destroy();
      await closed(server, ...clients, third);
    });

    test("drains: finishes requests, says that it closes, and ends idle connections", async (t) => {
      const { server, governor, port } = await governed(t, {}, host, (request, response) => {
        setTimeout(() => response.end("done"), request.url === "/slow" ? 300 : 0);
      });
      const [idle, busy, next] = await Promise.all([
        connected(t, port, host),
        connected(t, port, host),
        connected(t, port, host),
      ]);
      for (const client of [idle, next]) {
        client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        await once(client, "data");
      }
      busy.write("GET /slow HTTP/1.1\r\nhost: a\r\n\r\n");
      await once(server, "request");
      const [ofIdle, ofBusy, ofNext] = [received(idle), received(busy), received(next)];
      const drained = governor.drain({ within: "20s" });
      assert.equal(governor.drain(), drained);
      next.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
      assert.match(await ofNext, /^HTTP\/1.1 200 [^]*Connection: close[^]*done$/);
      assert.match(await ofBusy, /^HTTP\/1.1 200 [^]*Connection: close[^]*done$/);
      assert.equal(await ofIdle, "");
      for (const client of [idle, busy, next]) client.end();
      const report = await drained;
      assert.equal(report.connections, 3);
      assert.equal(report.cutOff, 0);
      await closed(server, idle, busy, next);
    });
  });
