import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { connect as connectHttp2, createServer as createHttp2Server } from "node:http2";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { type GovernorPolicy, governServer, type Refusal } from "../../../src/server/index.js";
import { selfSigned } from "../../support/certificate.js";
import { until } from "../../support/until.js";
import { closed, connected, hosts, listening, received } from "./support.js";

const request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
const from4 = "PROXY TCP4 192.0.2.1 198.51.100.2 5000 443\r\n";
const from6 = "PROXY TCP6 2001:db8::1 2001:db8::2 5000 443\r\n";

async function refused(governor: ReturnType<typeof governServer>): Promise<Refusal> {
  const [refusal] = (await once(governor, "refused")) as [Refusal];
  return refusal;
}

for (const host of hosts)
  describe(`PROXY headers on ${host}`, () => {
    test("name the client, however they arrive", async (t) => {
      const server = createHttpServer((incoming, response) => {
        const held = governor.connectionOf(incoming);
        response.end(`${held?.client} ${held?.proxied?.source?.port} ${incoming.url}`);
      });
      const governor = governServer(server, { perClient: 1, proxy: { from: ["127.0.0.0/8", "::1"] } });
      const port = await listening(t, server, host);
      const whole = await connected(t, port, host);
      whole.write(from6 + request);
      assert.match(await received(whole), /2001:db8::\/64 5000 \/$/);
      const split = await connected(t, port, host);
      split.setNoDelay(true);
      const answer = received(split);
      for (const byte of from4 + request) {
        split.write(byte);
        await new Promise(setImmediate);
      }
      assert.match(await answer, /192\.0\.2\.1 5000 \/$/);
      await closed(server, whole, split);
    });

    test("count each client by itself", async (t) => {
      const server = createServer((socket) => socket.on("error", () => {}).write("in"));
      const governor = governServer(server, { perClient: 1, proxy: { from: [host] } });
      const port = await listening(t, server, host);
      const clients: Socket[] = [];
      for (const header of [from4, from6]) {
        const client = await connected(t, port, host);
        clients.push(client);
        client.write(header);
        assert.equal(String(await once(client, "data")), "in");
      }
      const second = await connected(t, port, host);
      second.write(from4);
      assert.deepEqual(await refused(governor), {
        reason: "per-client",
        address: "192.0.2.1",
        client: "192.0.2.1",
      });
      await closed(server, ...clients, second);
    });

    test("are required of proxies, and refused from anybody else", async (t) => {
      const server = createHttpServer((_request, response) => response.end("hello"));
      const governor = governServer(server, { proxy: { from: [host], within: "200ms" } });
      const port = await listening(t, server, host);
      for (const [bytes, reason] of [
        [request, "proxy-malformed"],
        ["PROXY TCP4 no\r\n", "proxy-malformed"],
        [`PROXY UNKNOWN ${"x".repeat(200)}`, "proxy-malformed"],
        ["PROXY TC", "proxy-late"],
        ["", "proxy-late"],
      ] as const) {
        const client = await connected(t, port, host);
        client.write(bytes);
        assert.equal((await refused(governor)).reason, reason);
        client.destroy();
      }
      await closed(server);
      governor.close();
      const open = createHttpServer((_request, response) => response.end("hello"));
      const elsewhere = governServer(open, { proxy: { from: ["10.0.0.0/8", "fd00::/8"] } });
      const openPort = await listening(t, open, host);
      const [forger, honest] = [await connected(t, openPort, host), await connected(t, openPort, host)];
      forger.write(from4 + request);
      assert.equal((await refused(elsewhere)).reason, "proxy-forged");
      assert.equal(await received(forger), "");
      honest.write(request);
      assert.match(await received(honest), /hello$/);
      await closed(open, forger, honest);
      const strict = createServer();
      const strictly = governServer(strict, { proxy: { from: ["10.0.0.0/8"], direct: false } });
      const refusal = refused(strictly);
      const client = await connected(t, await listening(t, strict, host), host);
      assert.equal((await refusal).reason, "proxy-untrusted");
      await closed(strict, client);
    });

    test("stand before TLS and before HTTP/2", async (t) => {
      const server = createTlsServer(selfSigned(), (socket) => {
        socket.end(`${governor.connectionOf(socket)?.client}`);
      });
      const governor = governServer(server, { proxy: { from: [host] } });
      const client = await connected(t, await listening(t, server, host), host);
      client.write(from4);
      const secure = connectTls({ socket: client, rejectUnauthorized: false });
      assert.equal(await received(secure), "192.0.2.1");
      await closed(server, secure, client);

      const h2 = createHttp2Server((incoming, response) => {
        response.end(`${both.connectionOf(incoming.stream.session)?.client}`);
      });
      const both = governServer(h2, { proxy: { from: [host] } });
      const raw = await connected(t, await listening(t, h2, host), host);
      raw.write(from6);
      const { connect } = await import("node:http2");
      const session = connect("http://a", { createConnection: () => raw });
      const stream = session.request();
      stream.setEncoding("utf8");
      let text = "";
      for await (const piece of stream) text += String(piece);
      assert.equal(text, "2001:db8::/64");
      session.destroy();
      await closed(h2, raw);
    });
  });

test("curl's PROXY header is read, over both families", async (t) => {
  const server = createHttpServer((incoming, response) => {
    const proxied = governor.connectionOf(incoming)?.proxied;
    response.end(`${proxied?.version} ${proxied?.source?.address} ${proxied?.destination?.address}`);
  });
  const governor = governServer(server, { proxy: { from: ["127.0.0.1", "::1"] } });
  const port = await listening(t, server, "::");
  for (const [host, address] of [
    ["127.0.0.1", "127.0.0.1"],
    ["[::1]", "::1"],
  ] as const) {
    const { stdout } = await promisify(execFile)("curl", [
      "--silent",
      "--haproxy-protocol",
      `http://${host}:${port}/`,
    ]);
    assert.equal(stdout, `1 ${address} ${address}`);
  }
  await closed(server);
});

for (const how of ["PROXY protocol", "header"] as const)
  test(`a proxy on a Unix socket names its clients by ${how}, once it is trusted`, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "governor-"));
    t.after(async () => rm(folder, { recursive: true }));
    const ask = async (policy: GovernorPolicy, client: string): Promise<string> => {
      const server = createHttpServer((incoming, response) => {
        response.end(governor.connectionOf(incoming)?.client);
      });
      const governor = governServer(server, { perClient: 1, ...policy });
      const path = join(folder, "socket");
      server.listen(path);
      await once(server, "listening");
      const socket = connect(path);
      const text = received(socket);
      socket.write(
        how === "header"
          ? request.replace("\r\n\r\n", `\r\nx-forwarded-for: ${client}\r\n\r\n`)
          : (client.includes(":") ? from6 : from4) + request,
      );
      const answer = await text;
      await closed(server, socket);
      return answer;
    };
    const trusting = (from: string[]): GovernorPolicy =>
      how === "header" ? { client: { header: { name: "x-forwarded-for", from } } } : { proxy: { from } };
    assert.match(await ask(trusting(["unix"]), "192.0.2.1"), /\r\n192\.0\.2\.1$/);
    assert.match(await ask(trusting(["10.0.0.0/8", "unix"]), "2001:db8::1"), /\r\n2001:db8::\/64$/);
    const untrusted = await ask(trusting(["0.0.0.0/0", "::/0"]), "192.0.2.1");
    if (how === "header") assert.match(untrusted, /\r\nunix$/);
    else assert.equal(untrusted, "");
  });

test("http2 over a Unix socket: a stream is a request in flight", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "governor-"));
  t.after(async () => rm(folder, { recursive: true }));
  const server = createHttp2Server((_request, response) => setTimeout(() => response.end("late"), 900));
  const governor = governServer(server, { idle: "300ms" });
  const path = join(folder, "socket");
  server.listen(path);
  await once(server, "listening");
  t.after(() => void server.close());
  const client = connectHttp2("http://localhost", { createConnection: () => connect(path) });
  const stream = client.request();
  assert.equal(String(await once(stream, "data")), "late");
  assert.equal(governor.connectionOf(client), null);
  client.close();
  await until(() => governor.size === 0);
});
