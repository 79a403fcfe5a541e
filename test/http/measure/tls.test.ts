import assert from "node:assert/strict";
import { once } from "node:events";
import {
  constants,
  createSecureServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import { createServer as createHttpsServer } from "node:https";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { findingsOf } from "../../../src/http/measure/findings.js";
import { safeSettings } from "../../../src/http/measure/safe-settings.js";
import { selfSigned } from "../../support/certificate.js";
import { answer, rawServer } from "../raw-server.js";
import { freePort, missingPrograms, startNginx } from "../real-servers.js";
import { measure } from "./measure.js";

const quick = { maxMs: 6_000, patienceMs: 20_000, connections: 12 };

describe("over TLS", { concurrency: 3, skip: missingPrograms("openssl") }, () => {
  let certificate: { key: string; cert: string };
  let folder: string;
  before(() => {
    certificate = selfSigned();
    folder = mkdtempSync(join(tmpdir(), "deadpeer-tls-"));
    writeFileSync(join(folder, "key.pem"), certificate.key);
    writeFileSync(join(folder, "cert.pem"), certificate.cert);
  });
  after(() => rmSync(folder, { recursive: true }));

  test("a certificate that is not trusted is named, and taken when told to", async () => {
    const server = createHttpsServer(certificate, (_, response) => response.end("hello"));
    server.keepAliveTimeout = 1_000;
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    await assert.rejects(
      measure(`https://localhost:${port}/`, quick),
      /: its certificate is not trusted: self-signed certificate \(DEPTH_ZERO_SELF_SIGNED_CERT\); give --ca/,
    );
    const insecure = await measure(`https://localhost:${port}/`, { ...quick, insecure: true });
    assert.equal(insecure.look.protocol, "HTTP/1.1");
    assert.equal(insecure.look.whyNot, null);
    const trusted = await measure(`https://127.0.0.1:${port}/`, { ...quick, ca: certificate.cert });
    server.closeAllConnections();
    server.close();
    assert.equal(trusted.problem, null);
    assert.equal(trusted.idle?.by, "fin");
    // Node keeps for as long as it says, or, in later versions, a second longer.
    const over = (trusted.idle?.lowMs ?? 0) - 1_000;
    assert.ok(Math.abs(over) <= 300 || Math.abs(over - 1_000) <= 300, `${over}`);
    const { cost } = trusted;
    assert.ok(cost !== null && cost.reusedMs < cost.newMs, JSON.stringify(cost));
  });

  test("a certificate for another name is not trusted", async () => {
    const server = createHttpsServer(certificate, (_, response) => response.end("hello"));
    server.listen(0, "127.0.0.2");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    await assert.rejects(
      measure(`https://127.0.0.2:${port}/`, { ...quick, ca: certificate.cert }),
      /not trusted: Hostname\/IP does not match.*ERR_TLS_CERT_ALTNAME_INVALID/,
    );
    server.close();
  });

  test("an idle connection that is reset is told from one that is closed", async () => {
    const below = new Map<number | undefined, Socket>();
    const server = createHttpsServer(certificate, (request, response) => {
      const tcp = below.get(request.socket.remotePort);
      tcp?.setTimeout(1_200, () => tcp.resetAndDestroy());
      response.end("hello");
    });
    server.keepAliveTimeout = 0;
    server.on("connection", (socket: Socket) => below.set(socket.remotePort, socket));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    // One that waits, and one that speaks long before: a request that meets the reset would be reset too.
    const measured = await measure(`https://localhost:${port}/`, {
      ...quick,
      connections: 2,
      ca: certificate.cert,
    });
    server.closeAllConnections();
    server.close();
    assert.equal(measured.idle?.by, "rst");
    assert.ok(findingsOf(measured).some(({ code }) => code === "closes-with-rst"));
  });

  test("TLS asked of a plain server, and the reverse, is one line", async () => {
    await using plain = await rawServer(({ socket }) => socket.end(answer()), {
      onConnection: (socket) => socket.once("data", () => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")),
    });
    await assert.rejects(
      measure(plain.url.replace("http:", "https:"), quick),
      /does not speak TLS with us: wrong version number; is it http:\/\/ perhaps\?$/,
    );
    const secure = createHttpsServer(certificate);
    secure.listen(0, "127.0.0.1");
    await once(secure, "listening");
    const { port } = secure.address() as AddressInfo;
    await assert.rejects(measure(`http://127.0.0.1:${port}/`, quick), /127\.0\.0\.1:\d+/);
    secure.close();
  });

  for (const [what, onStream, message] of [
    // A reset where something of ours lay there unread.
    ["ends the session", ({ session }) => session?.destroy(), /(closes|resets) the connection instead of/],
    [
      "breaks off in its body",
      (stream) => {
        stream.respond({ ":status": 200, "content-length": 100 });
        stream.write("begun", () => setTimeout(() => stream.session?.destroy(), 200));
      },
      null,
    ],
    [
      "resets the request",
      (stream) => stream.close(constants.NGHTTP2_INTERNAL_ERROR),
      /resets the request over HTTP\/2 \(INTERNAL_ERROR\)$/,
    ],
    [
      "says goodbye with an error",
      ({ session }) => session?.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM),
      /ends the connection over HTTP\/2 \(ENHANCE_YOUR_CALM\)$/,
    ],
  ] as const satisfies readonly (readonly [string, (stream: ServerHttp2Stream) => void, RegExp | null])[])
    test(`HTTP/2 that ${what} is told at once, and as what it is`, async (context) => {
      const server = createSecureServer(certificate);
      const sessions = new Set<ServerHttp2Session>();
      server.on("session", (session) => void sessions.add(session.on("error", () => {})));
      server.on("stream", (stream: ServerHttp2Stream) => onStream(stream.on("error", () => {})));
      context.after(() => {
        for (const session of sessions) session.destroy();
        server.close();
      });
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      const { port } = server.address() as AddressInfo;
      const options = { ...quick, ca: certificate.cert, patienceMs: 60_000 };
      const beganMs = performance.now();
      const measuring = measure(`https://127.0.0.1:${port}/`, options);
      if (message === null) {
        const { look } = await measuring;
        assert.equal(look.brokenOff, true);
        assert.equal(look.answer.bodyBytes, 5);
      } else await assert.rejects(measuring, message);
      assert.ok(performance.now() - beganMs < 30_000);
    });

  test("over HTTP/2 a Host header is the authority, and one of HTTP/1 stays away", async () => {
    const seen: IncomingHttpHeaders[] = [];
    const server = createSecureServer(certificate, (request, response) => {
      seen.push(request.headers);
      response.end("hello");
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const options = { ...quick, ca: certificate.cert, maxMs: 1_000 };
    const given = [
      ["Host", "a.example"],
      ["TE", "gzip"],
      ["Keep-Alive", "1"],
      ["X-Own", "1"],
    ] as const;
    const { look } = await measure(`https://127.0.0.1:${port}/`, { ...options, headers: given });
    server.close();
    assert.equal(look.protocol, "HTTP/2");
    const [headers = {}] = seen;
    assert.equal(headers[":authority"], "a.example");
    assert.equal(headers["x-own"], "1");
    assert.equal(headers["te"] ?? headers["keep-alive"], undefined);
  });

  test("a server that hangs in the handshake is bounded", async () => {
    await using server = await rawServer(() => {});
    await assert.rejects(
      measure(server.url.replace("http:", "https:"), { ...quick, patienceMs: 500 }),
      /does not answer within 0\.5s/,
    );
  });

  test("HTTP/2 of nginx: GOAWAY, FIN, and no race", { skip: missingPrograms("nginx") }, async () => {
    const port = await freePort();
    await using server = await startNginx(`
      listen 127.0.0.1:${port} ssl http2; ssl_certificate ${folder}/cert.pem; ssl_certificate_key ${folder}/key.pem;
      keepalive_timeout 2s; keepalive_requests 30;`);
    assert.ok(server.port > 0);
    const url = `https://localhost:${port}/`;
    const measured = await measure(url, { ...quick, family: 4, ca: certificate.cert, requests: 50 });
    assert.equal(measured.problem, null);
    assert.equal(measured.look.protocol, "HTTP/2");
    assert.equal(measured.look.hint, null);
    const { idle, requests } = measured;
    assert.ok(idle !== null && Math.abs(idle.lowMs - 2_000) <= 300, `${idle?.lowMs} ${idle?.highMs}`);
    assert.equal(idle.by, "fin");
    assert.equal(idle.announced, true);
    assert.equal(requests?.limit, 30);
    assert.equal(requests.announced, true);
    assert.deepEqual(findingsOf(measured), []);
    assert.ok((safeSettings(measured).clientIdleMs ?? 0) < 2_000);
    const older = await measure(url, { ...quick, family: 4, ca: certificate.cert, http2: false });
    assert.equal(older.look.protocol, "HTTP/1.1");
    assert.ok(Math.abs((older.idle?.lowMs ?? 0) - 2_000) <= 300);
  });

  test("HTTP/2 that ends without GOAWAY", async () => {
    const server = createSecureServer(certificate, (_, response) => response.end("hello"));
    const sessions = new Set<ServerHttp2Session>();
    server.on("session", (session) => {
      sessions.add(session);
      session.on("close", () => sessions.delete(session));
      session.setTimeout(1_500, () => session.socket.destroySoon());
      session.on("error", () => {});
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const measured = await measure(`https://127.0.0.1:${port}/`, { ...quick, ca: certificate.cert });
    for (const session of sessions) session.destroy();
    server.close();
    assert.equal(measured.look.protocol, "HTTP/2");
    assert.ok(Math.abs((measured.idle?.lowMs ?? 0) - 1_500) <= 1_000, `${measured.idle?.lowMs}`);
    assert.deepEqual(
      findingsOf(measured).map(({ code }) => code),
      ["race-window"],
    );
  });
});
