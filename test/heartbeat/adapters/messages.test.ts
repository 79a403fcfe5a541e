import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { WebSocket as BrowserWebSocket } from "undici";
import { WebSocket, WebSocketServer } from "ws";
import { isHeartbeatMessage, overMessages } from "../../../src/heartbeat/adapters/messages.js";
import { heartbeat } from "../../../src/heartbeat/heartbeat.js";
import { VirtualClock } from "../../../src/time/virtual-clock.js";
import { until, wanted, watch } from "./support.js";

describe("heartbeats by messages", () => {
  let server: WebSocketServer;
  before(async () => {
    server = new WebSocketServer({ port: 0 });
    await once(server, "listening");
  });
  after(() => {
    for (const ws of server.clients) ws.terminate();
    server.close();
  });

  const connect = async (): Promise<{ browser: BrowserWebSocket; accepted: WebSocket }> => {
    const browser = new BrowserWebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const opened = new Promise((resolve) => browser.addEventListener("open", resolve));
    const [accepted] = (await once(server, "connection")) as [WebSocket];
    await opened;
    return { browser, accepted };
  };

  test("both sides ask and answer, say how often they will be heard, and carry data", async () => {
    const { browser, accepted } = await connect();
    const clock = new VirtualClock();
    const near = heartbeat(overMessages(browser), wanted, {
      clock,
      phase: 0,
      sendEvery: 40_000,
      payload: () => "from the browser",
    });
    const far = heartbeat(overMessages(accepted), wanted, {
      clock,
      phase: 0,
      payload: () => Buffer.alloc(65_536, 7),
    });
    const heard: string[] = [];
    near.on("payload", (bytes) => heard.push(`near ${bytes.length} ${bytes[65_535]}`));
    far.on("payload", (bytes) => heard.push(`far ${Buffer.from(bytes).toString()}`));
    near.on("answer", (rttUs) => assert.notEqual(rttUs, null));
    clock.advanceSync(20_000);
    await until("all four", () => heard.length === 4);
    assert.deepEqual(new Set(heard), new Set(["near 65536 7", "far from the browser"]));
    // What was promised is taken: the browser's side is quiet for 40 s, and some time more.
    assert.equal(far.settings.idleMs, 45_000);
    near.close();
    far.close();
    browser.close();
  });

  test("a client that only answers, as in the document, is enough for the server", async () => {
    const { browser, accepted } = await connect();
    browser.addEventListener("message", ({ data }) => {
      if (typeof data === "string" && data.startsWith("deadpeer beat "))
        browser.send(`deadpeer answer ${data.split(" ")[2]}`);
    });
    const { clock, seen } = watch(overMessages(accepted));
    clock.advanceSync(20_000);
    await until("the answer", () => seen.includes("answer"));
    browser.close();
  });

  test("messages of the application's are proof of life, and are told from the heartbeat's", async () => {
    const { browser, accepted } = await connect();
    const { clock, beats, seen } = watch(overMessages(browser));
    for (const message of [
      "deadpeer beat",
      "deadpeer answer x",
      "deadpeer beat 1 2 3 4",
      "{}",
      Buffer.from("deadpeer beat 1 0"),
    ]) {
      clock.advanceSync(19_000);
      accepted.send(message);
      await until("the message", () => beats.silentMs === 0);
      assert.equal(isHeartbeatMessage(message), false);
    }
    for (const message of [
      "deadpeer beat 1 0",
      "deadpeer beat 4294967295 25000 aGVsbG8=",
      "deadpeer answer 7",
    ])
      assert.equal(isHeartbeatMessage(message), true);
    assert.equal(isHeartbeatMessage(`deadpeer answer 7 ${"A".repeat(87_385)}`), false);
    assert.deepEqual(seen, []);
    browser.close();
  });

  test("a peer that does not answer is dead, and the close says why; an end is told", async () => {
    const { browser, accepted } = await connect();
    const { clock, seen } = watch(overMessages(browser));
    const closed = once(accepted, "close");
    clock.advanceSync(35_000);
    assert.deepEqual(seen, ["beat", "suspect", "beat", "beat", "verdict", "end"]);
    assert.deepEqual((await closed).map(String), ["4000", "no answer to heartbeats"]);

    const other = await connect();
    const watched = watch(overMessages(other.browser));
    other.accepted.terminate();
    await until("the end", () => watched.seen.includes("end"));
    assert.equal(watched.clock.pending, 0);
  });

  test("one that still connects, or closes already, is spared what it would throw for", async () => {
    const ws = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const { clock, seen } = watch(overMessages(ws));
    clock.advanceSync(20_000);
    assert.deepEqual(seen, ["beat"]);
    await once(ws, "open");
    ws.close();
    clock.advanceSync(5_000);
    assert.equal(seen.includes("verdict"), false);
    await once(ws, "close");
    assert.ok(seen.includes("end"));
  });
});
