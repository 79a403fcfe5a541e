import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  type ClientHttp2Session,
  connect,
  createSecureServer,
  createServer,
  type Http2Server,
  type ServerHttp2Session,
} from "node:http2";
import { type AddressInfo, createServer as createTcpServer, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { innerSocket } from "../../../src/guard/inner-socket.js";
import { overHttp2 } from "../../../src/heartbeat/adapters/http2.js";
import { PingPace } from "../../../src/heartbeat/adapters/ping-pace.js";
import { libcProblem } from "../../../src/kernel/libc.js";
import { VirtualClock } from "../../../src/time/virtual-clock.js";
import { checkout } from "../../support/checkout.js";
import { tlsClientOptions, tlsServerOptions } from "../../support/tls.js";
import { segmentsIn, until, watch } from "./support.js";

/** Debian's own, for which it has packages. */
const python = "/usr/bin/python3";

const opened = async (url: string, options = {}): Promise<ClientHttp2Session> => {
  const session = connect(url, options);
  session.on("error", () => {});
  await once(session, "connect");
  return session;
};

const portOf = (server: { address(): unknown }): number => (server.address() as AddressInfo).port;

describe("HTTP/2", () => {
  let server: Http2Server;
  before(async () => {
    server = createServer((request, response) => {
      request.resume();
      response.end("answer");
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
  });
  after(() => server.close());

  test("a PING is answered by number, on either side, and over TLS", async () => {
    const secure = createSecureServer(tlsServerOptions).listen(0, "::1");
    await once(secure, "listening");
    for (const [from, url] of [
      [server, `http://127.0.0.1:${portOf(server)}`],
      [secure, `https://[::1]:${portOf(secure)}`],
    ] as const) {
      const accepted = once(from, "session") as Promise<[ServerHttp2Session]>;
      const session = await opened(url, tlsClientOptions);
      for (const side of [session, (await accepted)[0]]) {
        const { clock, seen, beats } = watch(overHttp2(side));
        clock.advanceSync(20_000);
        await until("the answer", () => seen.includes("answer"));
        assert.deepEqual(seen, ["beat", "answer"]);
        beats.close();
      }
      session.destroy();
    }
    secure.close();
  });

  test("a peer that takes the connection and answers nothing is dead after its time, and the session is gone", async () => {
    const deaf = createTcpServer((socket) => void socket.resume().on("error", () => {})).listen(
      0,
      "127.0.0.1",
    );
    await once(deaf, "listening");
    const session = await opened(`http://127.0.0.1:${portOf(deaf)}`);
    const stream = session.request({ ":path": "/" });
    stream.on("error", () => {});
    const closed = Promise.all([once(session, "close"), once(stream, "close")]);
    const { clock, seen, beats } = watch(overHttp2(session));
    // A goodbye that the peer will never take.
    session.close();
    clock.advanceSync(35_000);
    assert.deepEqual(seen, ["beat", "suspect", "beat", "beat", "verdict", "end"]);
    assert.equal(beats.verdict?.state, "unresponsive");
    await closed;
    assert.equal(clock.pending, 0);
    deaf.close();
  });

  test("a peer that sends a little, and leaves pings unanswered, is alive for as long", async () => {
    let accepted: Socket | null = null;
    const slow = createTcpServer((socket) => (accepted = socket.resume().on("error", () => {})));
    slow.listen(0, "127.0.0.1");
    await once(slow, "listening");
    const session = await opened(`http://127.0.0.1:${portOf(slow)}`);
    const socket = innerSocket(session);
    const { clock, beats } = watch(overHttp2(session));
    // An empty SETTINGS frame (RFC 9113, section 6.5), which a server begins with, byte by byte.
    for (const byte of [0, 0, 0, 4, 0, 0, 0, 0, 0]) {
      clock.advanceSync(24_000);
      const { bytesRead } = socket;
      (accepted as Socket | null)?.write(Buffer.of(byte));
      await until("the byte", () => socket.bytesRead > bytesRead);
    }
    assert.equal(beats.active, true);
    clock.advanceSync(50_000);
    assert.equal(beats.verdict?.state, "unresponsive");
    slow.close();
  });

  test("an end is told, and what is not connected is refused", async () => {
    const accepted = once(server, "session") as Promise<[ServerHttp2Session]>;
    const session = await opened(`http://127.0.0.1:${portOf(server)}`);
    const { seen, clock } = watch(overHttp2(session));
    (await accepted)[0].destroy();
    await until("the end", () => seen.includes("end"));
    assert.deepEqual(seen, ["end"]);
    assert.equal(clock.pending, 0);
    assert.throws(() => overHttp2(session), { code: "no-socket" });
  });
});

describe("a gRPC server's rule", { skip: withoutGrpc(), timeout: 60_000 }, () => {
  let server: ChildProcess;
  let url: string;
  before(async () => {
    server = spawn(python, [`${checkout}test/heartbeat/adapters/grpc-server.py`], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let port = "";
    for await (const line of createInterface({ input: server.stdout as NonNullable<typeof server.stdout> })) {
      port = line;
      break;
    }
    url = `http://127.0.0.1:${port}`;
  });
  after(async () => {
    const gone = once(server, "exit");
    server.kill("SIGKILL");
    await gone;
  });

  test("pings by the profile are too many, and it closes; then the pace is half", async () => {
    const pace = new PingPace({ every: "20s" });
    const session = await opened(url);
    const goaway = once(session, "goaway");
    const { clock, seen } = watch(overHttp2(session, { pace, clock: new VirtualClock() }));
    // The adapter's clock stands still: it never thinks that it has pinged too soon.
    const hasty = watch(overHttp2(session, { clock }), clock);
    for (let round = 0; round < 6 && hasty.beats.active; round++) {
      const { length } = hasty.seen;
      clock.advanceSync(20_000);
      await until("an answer, or the end", () => hasty.seen.length > length + 1 || !hasty.beats.active);
    }
    const [code, , data] = (await goaway) as [number, number, Buffer];
    assert.deepEqual([code, data.toString()], [0xb, "too_many_pings"]);
    await until("the end", () => seen.includes("end"));
    assert.equal(pace.everyMs, 40_000);
  });

  test("at gRPC's pace the connection is watched as closely, and is not punished", {
    skip: libcProblem() !== null,
  }, async () => {
    const session = await opened(url);
    const socket = innerSocket(session);
    const clock = new VirtualClock();
    const { beats, seen } = watch(overHttp2(session, { pace: new PingPace(), clock }), clock);
    clock.advanceSync(20_000);
    await until("the first PING's answer", () => seen.includes("answer"));
    for (let round = 1; round <= 6; round++) {
      const segments = segmentsIn(socket);
      clock.advanceSync(20_000);
      await until("the kernel's acknowledgement", () => segmentsIn(socket) > segments);
      clock.advanceSync(5_000);
      assert.equal(beats.silentMs, 0);
    }
    assert.deepEqual(new Set(seen), new Set(["beat", "answer"]));
    assert.equal(seen.filter((what) => what === "answer").length, 1);
    // A program that hangs is found by the next PING that is allowed.
    clock.advanceSync(135_000);
    server.kill("SIGSTOP");
    for (let round = 0; round < 6 && beats.active; round++) {
      const segments = segmentsIn(socket);
      clock.advanceSync(25_000);
      await until("an acknowledgement", () => !beats.active || segmentsIn(socket) > segments);
    }
    server.kill("SIGCONT");
    assert.equal(beats.verdict?.state, "unresponsive");
    assert.ok(clock.monotonic() <= 20_000 + 300_000 + 50_000);
  });
});

function withoutGrpc(): string | false {
  return spawnSync(python, ["-c", "import grpc"]).status === 0 ? false : "not installed: python3-grpcio";
}
