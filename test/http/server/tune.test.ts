import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { createSecureServer, createServer as createHttp2Server } from "node:http2";
import { createServer as createHttpsServer, request } from "node:https";
import { type AddressInfo, connect, type Server as NetServer } from "node:net";
import { after, describe, test } from "node:test";
import { DeadpeerError } from "../../../src/errors.js";
import { tuneHttpServer } from "../../../src/http/index.js";
import { selfSigned } from "../../support/certificate.js";

const codes = (server: Server, behind: string): string[] =>
  tuneHttpServer(server, { behind })
    .warnings.map(({ code }) => code)
    .sort();

describe("a Node server is tuned for what stands before it", () => {
  test("behind a proxy it is the one that keeps connections longer", () => {
    const server = createServer();
    const tuned = tuneHttpServer(server, { behind: "aws-alb" });
    assert.equal(server.keepAliveTimeout, 65_000);
    assert.equal(server.headersTimeout, 66_000);
    assert.equal(server.requestTimeout, 300_000);
    assert.equal(tuned.hint, "timeout=65");
    assert.equal(tuned.settings.keepAliveTimeoutMs, 65_000);
    assert.equal(tuned.before.keepAliveTimeoutMs, 5_000);
    assert.deepEqual(tuned.warnings, []);
    tuned.undo();
    assert.equal(server.keepAliveTimeout, 5_000);
    assert.equal(server.headersTimeout, 60_000);
  });

  test("the proxy may be one of one's own", () => {
    for (const behind of [{ idleMs: 90_000 }, { idleMs: "90s" }, "90s"]) {
      const server = createServer();
      assert.equal(tuneHttpServer(server, { behind }).settings.keepAliveTimeoutMs, 95_000);
    }
  });

  test("what is safe already stays", () => {
    const server = createServer({ keepAliveTimeout: 120_000, headersTimeout: 130_000 });
    tuneHttpServer(server, { behind: "aws-alb" });
    assert.equal(server.keepAliveTimeout, 120_000);
    assert.equal(server.headersTimeout, 130_000);
  });

  test("before a box that only forgets it closes first", () => {
    const server = createServer({ keepAliveTimeout: 3_600_000 });
    assert.deepEqual(codes(server, "aws-nlb"), ["not-a-proxy"]);
    // Five sixths of 350 s, rounded down, less the second that Node keeps it longer than it says.
    assert.equal(server.keepAliveTimeout, 290_000);
    const short = createServer();
    assert.deepEqual(codes(short, "aws-nlb"), ["not-a-proxy"]);
    assert.equal(short.keepAliveTimeout, 5_000);
  });

  test("a limit is noticed within a tenth of itself, where Node still takes that", async () => {
    const server = createServer() as Server & { connectionsCheckingInterval?: number };
    if (server.connectionsCheckingInterval === undefined) return;
    tuneHttpServer(server, { behind: "aws-alb" });
    assert.equal(server.connectionsCheckingInterval, 10_000);
    const late = createServer({ connectionsCheckingInterval: 600_000 });
    after(() => late.close());
    await listening(late);
    assert.deepEqual(codes(late, "aws-alb"), ["checked-late"]);
  });

  test("contradictions are named", () => {
    const server = createServer({ requestTimeout: 20_000 });
    server.timeout = 30_000;
    server.maxRequestsPerSocket = 100;
    assert.deepEqual(codes(server, "aws-alb"), [
      "idle-cut-by-server-timeout",
      "request-timeout-raised",
      "requests-per-socket",
    ]);
    assert.equal(server.requestTimeout, 66_000);
    assert.equal(tuneHttpServer(server, { behind: "aws-alb" }).hint, "timeout=65, max=100");
  });

  test("what is off stays off, and is named", () => {
    const server = createServer({ requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 0 });
    assert.deepEqual(codes(server, "aws-alb"), ["no-keep-alive", "no-request-timeout"]);
    assert.equal(server.requestTimeout, 0);
    assert.equal(server.headersTimeout, 0);
    assert.equal(server.keepAliveTimeout, 65_000);
  });

  test("nonsense is refused", () => {
    const server = createServer();
    refuses(() => tuneHttpServer(server, { behind: "aws-albb" }), "unknown-path");
    refuses(() => tuneHttpServer(server, { behind: { idleMs: -1 } }), "bad-duration");
    refuses(() => tuneHttpServer(server, { behind: { idleMs: 0 } }), "bad-option");
    refuses(() => tuneHttpServer(createHttp2Server() as never, { behind: "aws-alb" }), "bad-option");
    assert.equal(server.keepAliveTimeout, 5_000);
  });
});

describe("a tuned server keeps and says what was set", () => {
  const identity = selfSigned();
  const servers = {
    https: createHttpsServer(identity, (_, response) => response.end("ok")),
    "http2 that takes HTTP/1": createSecureServer({ ...identity, allowHTTP1: true }, (_, response) =>
      response.end("ok"),
    ),
  };
  for (const [name, server] of Object.entries(servers))
    test(name, async () => {
      after(() => server.close());
      const { hint } = tuneHttpServer(server, { behind: "75s" });
      const { port } = await listening(server);
      const header = await new Promise((resolve, reject) => {
        request({ port, host: "127.0.0.1", ca: identity.cert }, (response) => {
          response.resume().on("end", () => resolve(response.headers["keep-alive"]));
        })
          .on("error", reject)
          .setHeader("connection", "keep-alive")
          .end();
      });
      assert.equal(hint, "timeout=80");
      assert.equal(header, hint);
    });

  test("an untuned server closes what a tuned one keeps", async () => {
    const tuned = hasty();
    tuneHttpServer(tuned, { behind: { idleMs: 3_000 } });
    const [untunedEnds, tunedEnds] = await Promise.all([
      endsWithin(hasty(), 20_000),
      endsWithin(tuned, 4_000),
    ]);
    assert.deepEqual([untunedEnds, tunedEnds], [true, false]);
  });
});

async function listening(server: NetServer): Promise<AddressInfo> {
  server.listen(0);
  await once(server, "listening");
  return server.address() as AddressInfo;
}

function refuses(given: () => unknown, code: string): void {
  assert.throws(given, (error) => error instanceof DeadpeerError && error.code === code);
}

/** Gives up idle connections at once. */
function hasty(): Server {
  return createServer({ keepAliveTimeout: 1 }, (_, response) => response.end("ok"));
}

async function endsWithin(server: Server, ms: number): Promise<boolean> {
  const { port } = await listening(server);
  const socket = connect(port, "::1");
  socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await once(socket, "data");
  const ended = once(socket.resume(), "end").then(() => true);
  const waited = new Promise<boolean>((resolve) => void setTimeout(resolve, ms, false).unref());
  const result = await Promise.race([ended, waited]);
  socket.destroy();
  server.close();
  return result;
}
