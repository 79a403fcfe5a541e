import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { after, afterEach, before, describe, test } from "node:test";
import { WebSocket as BrowserWebSocket } from "undici";
import { type ClientOptions, WebSocket, WebSocketServer } from "ws";
import { overWebSocket } from "../../../src/heartbeat/adapters/websocket.js";
import { readSettings } from "../../../src/kernel/socket-options.js";
import { baseFd, innerSocket } from "../../../src/guard/inner-socket.js";
import { readTcpInfo } from "../../../src/kernel/tcp-info.js";
import { libcProblem } from "../../../src/kernel/libc.js";
import { tlsClientOptions, tlsServerOptions } from "../../support/tls.js";
import { segmentsIn, until, watch } from "./support.js";

const connect = async (to: WebSocketServer): Promise<{ ws: WebSocket; accepted: WebSocket }> => {
  const ws = new WebSocket(`ws://127.0.0.1:${(to.address() as AddressInfo).port}`);
  const [[accepted]] = (await Promise.all([once(to, "connection"), once(ws, "open")])) as [
    [WebSocket],
    unknown,
  ];
  ws.on("error", () => {});
  return { ws, accepted };
};

describe("WebSocket", () => {
  let server: WebSocketServer;
  /** Answers no pings, as a program that hangs. */
  let deaf: WebSocketServer;
  before(async () => {
    server = new WebSocketServer({ port: 0 });
    deaf = new WebSocketServer({ port: 0, autoPong: false });
    await Promise.all([once(server, "listening"), once(deaf, "listening")]);
  });
  afterEach(() => {
    for (const one of [server, deaf]) for (const ws of one.clients) ws.terminate();
  });
  after(() => {
    server.close();
    deaf.close();
  });

  test("a ping is answered by number, on either side", async () => {
    const { ws, accepted } = await connect(server);
    for (const side of [ws, accepted]) {
      const { clock, seen, beats } = watch(overWebSocket(side));
      clock.advanceSync(20_000);
      await until("the pong", () => seen.includes("answer"));
      assert.deepEqual(seen, ["beat", "answer"]);
      assert.equal(beats.state, "alive");
      beats.close();
    }
  });

  test("a browser's WebSocket answers by itself", async () => {
    const browser = new BrowserWebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const [accepted] = (await once(server, "connection")) as [WebSocket];
    const { clock, seen } = watch(overWebSocket(accepted));
    clock.advanceSync(20_000);
    await until("the pong", () => seen.includes("answer"));
    browser.close();
  });

  test("pings of the application's own are no answers; that they are answered is proof of life", async () => {
    const { ws } = await connect(server);
    const { clock, seen, beats } = watch(overWebSocket(ws));
    clock.advanceSync(19_000);
    for (const data of ["", "ping", "8 bytes.", "more than 8 bytes"]) {
      const answered = once(ws, "pong");
      ws.ping(data);
      await answered;
    }
    assert.deepEqual(seen, []);
    assert.equal(beats.silentMs, 0);
  });

  test("a server that does not answer is dead after its time, and its connection is gone at once", async () => {
    const { ws } = await connect(deaf);
    const { clock, seen, beats } = watch(overWebSocket(ws));
    const closed = once(ws, "close");
    clock.advanceSync(35_000);
    assert.deepEqual(seen, ["beat", "suspect", "beat", "beat", "verdict", "end"]);
    assert.equal(beats.verdict?.state, "unresponsive");
    assert.deepEqual((await closed)[0], 1006);
    assert.equal(clock.pending, 0);
  });

  test("a message that takes long to arrive is heard all the while", async () => {
    const { ws, accepted } = await connect(deaf);
    const { clock, seen, beats } = watch(overWebSocket(ws));
    const raw = innerSocket(accepted);
    // RFC 6455, section 5.2: text, 100 bytes long, one byte at a time.
    for (const byte of [0x81, 100, ...Buffer.from("half of a message")]) {
      clock.advanceSync(19_000);
      raw.write(Buffer.of(byte));
      await until("the byte", () => beats.silentMs === 0);
    }
    assert.deepEqual(seen, []);
  });

  test("a server that reads slowly, with the ping behind what it has not read, is alive; one that reads nothing is not", {
    skip: libcProblem() !== null,
  }, async () => {
    for (const reads of [true, false]) {
      const { ws, accepted } = await connect(server);
      const raw = innerSocket(accepted);
      raw.pause();
      ws.send(Buffer.alloc(48 * 2 ** 20));
      const { clock, seen, beats } = watch(overWebSocket(ws));
      clock.advanceSync(20_000);
      for (let round = 0; round < 6; round++) {
        if (reads) await readSome(raw, innerSocket(ws));
        clock.advanceSync(5_000);
      }
      assert.equal(beats.active, reads);
      assert.equal(seen.includes("verdict"), !reads);
      beats.close();
      ws.terminate();
    }
  });

  test("a connection that this side does not read is not blamed: the peer's kernel is asked, and settings are put back", {
    skip: libcProblem() !== null,
  }, async () => {
    const { ws } = await connect(server);
    const socket = innerSocket(ws);
    const { clock, seen, beats } = watch(overWebSocket(ws));
    const held = readSettings(baseFd(socket));
    ws.pause();
    for (let round = 1; round <= 3; round++) {
      const segments = segmentsIn(socket);
      clock.advanceSync(20_000);
      assert.deepEqual(readSettings(baseFd(socket)).keepalive, {
        enabled: true,
        idleMs: 1_000,
        intervalMs: 1_000,
        count: 127,
      });
      await until("the kernel's acknowledgement", () => segmentsIn(socket) > segments);
      clock.advanceSync(5_000);
      assert.equal(beats.silentMs, 0);
      assert.deepEqual(readSettings(baseFd(socket)), held);
    }
    assert.deepEqual(seen, ["beat", "beat", "beat"]);
  });

  test("an end is told, in order or not, and what is not open is refused", async () => {
    for (const end of ["close", "terminate"] as const) {
      const { ws, accepted } = await connect(server);
      const { seen, clock } = watch(overWebSocket(ws));
      accepted[end]();
      await until("the end", () => seen.includes("end"));
      assert.deepEqual(seen, ["end"]);
      assert.equal(clock.pending, 0);
      assert.throws(() => overWebSocket(ws), { code: "no-socket" });
    }
    const connecting = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
    connecting.on("error", () => {});
    assert.throws(() => overWebSocket(connecting), { code: "no-socket" });
    connecting.terminate();
  });

  test("over TLS", async () => {
    const https = createTlsServer(tlsServerOptions);
    const secure = new WebSocketServer({ server: https });
    https.listen(0, "::1");
    await once(https, "listening");
    const { port } = https.address() as AddressInfo;
    const ws = new WebSocket(`wss://[::1]:${port}`, tlsClientOptions as unknown as ClientOptions);
    await once(ws, "open");
    const { clock, seen } = watch(overWebSocket(ws));
    clock.advanceSync(20_000);
    await until("the pong", () => seen.includes("answer"));
    ws.terminate();
    secure.close();
    https.close();
  });
});

/** Reads some megabytes, until the writer's kernel has seen it. */
async function readSome(reader: Socket, writer: Socket): Promise<void> {
  const { bytesRead } = reader;
  const acked = (): number => readTcpInfo(baseFd(writer)).bytesAcked ?? 0;
  const before = acked();
  const stop = (): void => void (reader.bytesRead > bytesRead + 4 * 2 ** 20 && reader.pause());
  reader.on("data", stop).resume();
  await until("the reading", () => reader.isPaused() && acked() > before);
  reader.off("data", stop);
}
