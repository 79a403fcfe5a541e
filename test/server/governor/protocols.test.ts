import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttpServer, type IncomingMessage } from "node:http";
import { connect as connectHttp2, createSecureServer, createServer as createHttp2Server } from "node:http2";
import { request as httpsRequest, createServer as createHttpsServer } from "node:https";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { describe, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { WebSocket, WebSocketServer } from "ws";
import { heldSettings } from "../../../src/guard/apply.js";
import { baseFd } from "../../../src/guard/inner-socket.js";
import { planDetection } from "../../../src/plan/planner.js";
import { governServer } from "../../../src/server/index.js";
import { selfSigned } from "../../support/certificate.js";
import { until } from "../../support/until.js";
import { closed, connected, evicted, hosts, listening, received } from "./support.js";

const inUrl = (host: string): string => (host.includes(":") ? `[${host}]` : host);
const certificate = selfSigned();

for (const host of hosts)
  describe(`other servers on ${host}`, { concurrency: 4 }, () => {
    test("net: silent ones are idle, slow readers that drain are not", async (t) => {
      const server = createServer((socket) => {
        socket.on("error", () => {});
        socket.once("data", () => socket.write(Buffer.alloc(16_000_000)));
      });
      const governor = governServer(server, { idle: "700ms" });
      const port = await listening(t, server, host);
      const [silent, slow] = [await connected(t, port, host), await connected(t, port, host)];
      slow.pause();
      slow.write("give");
      // Takes a little now and then: the kernel's buffers move, and nothing else does.
      const draining = setInterval(() => slow.read(100_000), 100);
      const { reason, connection } = await evicted(governor);
      assert.equal(reason, "idle");
      assert.equal(connection.remote.port, silent.localPort);
      assert.equal(connection.phase, "open");
      await new Promise((resolve) => setTimeout(resolve, 2_000));
      assert.equal(governor.snapshot().evicted.idle, 1);
      clearInterval(draining);
      assert.equal((await evicted(governor)).connection.remote.port, slow.localPort);
      await closed(server, silent, slow);
    });

    test("net: evicts the one that has been inactive for longest", async (t) => {
      const server = createServer((socket) =>
        socket.on("error", () => {}).on("data", () => socket.write("x")),
      );
      const governor = governServer(server, { total: 3, atLimit: "evict" });
      const port = await listening(t, server, host);
      const clients = [];
      for (let n = 0; n < 3; n++) {
        clients.push(await connected(t, port, host));
        await new Promise((resolve) => setTimeout(resolve, 30));
      }
      // The eldest is heard of again.
      clients[0]?.write("here");
      await once(clients[0] as (typeof clients)[0], "data");
      const gone = evicted(governor);
      const fourth = await connected(t, port, host);
      const { reason, connection } = await gone;
      assert.equal(reason, "total");
      assert.equal(connection.remote.port, clients[1]?.localPort);
      await until(() => governor.size === 3);
      await closed(server, ...clients, fourth);
    });

    test("net: one more of a client makes room among its own", async (t) => {
      const server = createServer((socket) =>
        socket.on("error", () => {}).on("data", () => socket.write("x")),
      );
      const governor = governServer(server, { perClient: 2, atLimit: "evict" });
      const port = await listening(t, server, host);
      const first = await connected(t, port, host);
      const second = await connected(t, port, host);
      await new Promise((resolve) => setTimeout(resolve, 50));
      first.write("here");
      await once(first, "data");
      const gone = evicted(governor);
      const third = await connected(t, port, host);
      const { reason, connection, verdict } = await gone;
      assert.equal(reason, "per-client");
      assert.equal(connection.remote.port, second.localPort);
      assert.match(verdict.sentence, /2 connections of a client/);
      await closed(server, first, second, third);
    });

    test("net: a client's allowance of new connections", async (t) => {
      const server = createServer((socket) => socket.on("error", () => {}));
      const governor = governServer(server, { newPerClient: { count: 3, within: "10h" } });
      const port = await listening(t, server, host);
      const clients = [];
      for (let n = 0; n < 5; n++) clients.push(await connected(t, port, host));
      await until(() => governor.snapshot().refused.rate === 2);
      assert.equal(governor.snapshot().accepted, 3);
      await closed(server, ...clients);
    });

    test("net: the listener has the settings by which dead peers are noticed", async (t) => {
      const server = createServer((socket) => socket.on("error", () => {}));
      governServer(server, { detect: "35s" });
      const port = await listening(t, server, host);
      const accepted = once(server, "connection");
      const client = await connected(t, port, host);
      const [socket] = (await accepted) as [Socket];
      const { keepalive, userTimeoutMs } = planDetection({ detectWithin: "35s" }).settings;
      const held = heldSettings(baseFd(socket));
      assert.deepEqual([held?.keepalive, held?.userTimeoutMs], [keepalive, userTimeoutMs]);
      await closed(server, client);
    });

    test("lives no longer than its maximum age, and ends in order", async (t) => {
      const server = createHttpServer({ keepAliveTimeout: 0 }, (_request, response) => response.end("x"));
      const governor = governServer(server, { maxAge: { after: "500ms", jitter: 0.2 } });
      const port = await listening(t, server, host);
      const client = await connected(t, port, host);
      const text = received(client);
      const asking = setInterval(() => {
        if (client.writable) client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
      }, 100);
      const all = await text;
      clearInterval(asking);
      assert.match(all, /Connection: close/);
      assert.equal(governor.snapshot().evicted.age, 0);
      await closed(server, client);
    });

    test("https: a handshake that is not finished, and a head that is not", async (t) => {
      const server = createHttpsServer(certificate, (_request, response) => response.end("hello"));
      const governor = governServer(server, { handshake: "300ms", head: "600ms" });
      const port = await listening(t, server, host);
      const half = await connected(t, port, host);
      half.write(Buffer.from("1603010200", "hex"));
      assert.equal((await evicted(governor)).reason, "handshake");
      const secure = connectTls({ port, host, rejectUnauthorized: false });
      await once(secure, "secureConnect");
      secure.write("GET / HTTP/1.1\r\n");
      const answer = received(secure);
      assert.equal((await evicted(governor)).reason, "head");
      assert.match(await answer, /^HTTP\/1.1 408 /);
      const response = await new Promise<IncomingMessage>((resolve) => {
        httpsRequest({ port, host, rejectUnauthorized: false, agent: false }, resolve).end();
      });
      assert.equal(response.statusCode, 200);
      response.resume();
      await once(response, "end");
      await closed(server, half, secure);
    });

    for (const secure of [false, true])
      test(`http2 ${secure ? "over TLS" : "over TCP"}: requests are finished, and its client told`, async (t) => {
        const server = secure ? createSecureServer(certificate) : createHttp2Server();
        server.on("stream", (stream, headers) => {
          setTimeout(() => stream.respond(), 50);
          setTimeout(() => stream.end("done"), headers[":path"] === "/slow" ? 1_500 : 50);
        });
        const governor = governServer(server, { idle: "400ms" });
        const port = await listening(t, server, host);
        const client = connectHttp2(`${secure ? "https" : "http"}://${inUrl(host)}:${port}`, {
          rejectUnauthorized: false,
        });
        const bodyOf = async (path: string): Promise<string> => {
          const stream = client.request({ ":path": path });
          let text = "";
          for await (const piece of stream.setEncoding("utf8")) text += String(piece);
          return text;
        };
        assert.equal(await bodyOf("/slow"), "done");
        const goneAway = once(client, "goaway");
        const slow = bodyOf("/slow");
        await until(() => governor.connections()[0]?.phase === "request");
        const drained = governor.drain({ within: "20s" });
        await goneAway;
        assert.equal(await slow, "done");
        assert.equal((await drained).cutOff, 0);
        assert.equal(governor.snapshot().evicted.idle, 0);
        client.close();
        await closed(server);
      });

    test("http2: the client's preface is due as a head is", async (t) => {
      const server = createHttp2Server((_request, response) => response.end("x"));
      const governor = governServer(server, { head: "300ms" });
      const port = await listening(t, server, host);
      const whole = connectHttp2(`http://${inUrl(host)}:${port}`);
      await once(whole, "remoteSettings");
      for (const beginning of ["", "PRI * HTTP/2.0\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0"]) {
        const client = await connected(t, port, host);
        const ended = received(client);
        client.write(beginning);
        const { reason, connection } = await evicted(governor);
        assert.deepEqual([reason, connection.phase], ["head", "head"]);
        await ended;
      }
      const stream = whole.request();
      assert.equal(String(await once(stream, "data")), "x");
      whole.close();
      await closed(server);
    });

    test("http2: nobody is blamed for a body that the program does not read", async (t) => {
      const server = createHttp2Server();
      server.on("stream", (stream, { ":path": path }) => {
        const read = (): void => void stream.resume().on("end", () => stream.respond() ?? stream.end("read"));
        // Its window is that of the connection: the other stream's body cannot come either.
        if (path === "/late") setTimeout(read, 1_500);
        else read();
      });
      const governor = governServer(server, { body: { bytesPerSecond: 1_000, window: "200ms" } });
      const port = await listening(t, server, host);
      const client = connectHttp2(`http://${inUrl(host)}:${port}`);
      const post = async (path: string): Promise<string> => {
        const stream = client.request({ ":path": path, ":method": "POST" });
        stream.end(Buffer.alloc(300_000));
        let text = "";
        for await (const piece of stream.setEncoding("utf8")) text += String(piece);
        return text;
      };
      assert.deepEqual(await Promise.all([post("/late"), post("/prompt")]), ["read", "read"]);
      assert.equal(governor.snapshot().evicted.body, 0);
      client.close();
      await closed(server);
    });

    test("http2: a session without a stream is idle, whatever it pings", async (t) => {
      const server = createHttp2Server((_request, response) => response.end("x"));
      const governor = governServer(server, { idle: "500ms" });
      const port = await listening(t, server, host);
      const client = connectHttp2(`http://${inUrl(host)}:${port}`);
      await once(client, "connect");
      const pinging = setInterval(() => client.destroyed || client.ping(() => {}), 50);
      assert.equal((await evicted(governor)).reason, "idle");
      clearInterval(pinging);
      client.close();
      await closed(server);
    });

    test("http2: a body that trickles, and a response that is not taken", async (t) => {
      const server = createHttp2Server();
      server.on("stream", (stream, headers) => {
        stream.on("error", () => {});
        if (headers[":method"] === "POST") stream.resume();
        else stream.end(Buffer.alloc(10_000_000));
      });
      const governor = governServer(server, { body: { bytesPerSecond: 1_000, window: "300ms" } });
      const port = await listening(t, server, host);
      for (const [method, expected] of [
        ["POST", "body"],
        ["GET", "slow-read"],
      ] as const) {
        const client = connectHttp2(`http://${inUrl(host)}:${port}`);
        client.on("error", () => {});
        const stream = client.request({ ":method": method, ":path": "/" });
        stream.on("error", () => {});
        const trickle = setInterval(() => method === "GET" || stream.destroyed || stream.write("x"), 50);
        assert.equal((await evicted(governor)).reason, expected);
        clearInterval(trickle);
        client.destroy();
      }
      await closed(server);
    });

    for (const given of ["the http server", "the WebSocketServer"])
      test(`ws, by ${given}: held after the upgrade, and closed with 1012`, async (t) => {
        const server = createHttpServer();
        const sockets = new WebSocketServer({ server });
        sockets.on("connection", (socket) => socket.on("message", (data) => socket.send(data)));
        const governor = governServer(given === "the http server" ? server : sockets, {
          idle: "700ms",
          head: "200ms",
        });
        const port = await listening(t, server, host);
        const [silent, busy] = [0, 1].map(() => new WebSocket(`ws://${inUrl(host)}:${port}`));
        assert.ok(silent !== undefined && busy !== undefined);
        const silentClosed = once(silent, "close");
        await Promise.all([once(silent, "open"), once(busy, "open")]);
        const talking = setInterval(() => busy.send("x"), 100);
        const { connection, reason } = await evicted(governor);
        assert.deepEqual([reason, connection.phase], ["idle", "open"]);
        assert.equal((await silentClosed)[0], 1001);
        const busyClosed = once(busy, "close");
        const drained = governor.drain({ within: "20s", webSocketCode: 1012 });
        assert.equal((await busyClosed)[0], 1012);
        clearInterval(talking);
        assert.equal((await drained).cutOff, 0);
        await closed(server);
      });

    test("ws with a port of its own", async () => {
      const sockets = new WebSocketServer({ port: 0, host });
      const governor = governServer(sockets, { perClient: 1 });
      await once(sockets, "listening");
      const url = `ws://${inUrl(host)}:${(sockets.address() as AddressInfo).port}`;
      const first = new WebSocket(url);
      await once(first, "open");
      const second = new WebSocket(url);
      await once(second, "error");
      assert.equal(governor.snapshot().refused["per-client"], 1);
      first.terminate();
      sockets.close();
      await once(sockets, "close");
    });
  });
