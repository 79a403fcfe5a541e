import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import { after, before, describe, test } from "node:test";
import { connectAsync, type MqttClient } from "mqtt";
import { overMqtt } from "../../../src/heartbeat/adapters/mqtt.js";
import { missingServers, startMosquitto } from "../../support/servers.js";
import { freePort, Here, until, watch } from "./support.js";

/** Its emitter's types are not those that `once` of node:events takes. */
const event = (client: MqttClient, name: "close" | "connect" | "message"): Promise<void> =>
  new Promise((resolve) => client.once(name, () => resolve()));

/** MQTT 3.1.1, section 1.5.3. */
const text = (words: string): Buffer => Buffer.from([0, words.length, ...Buffer.from(words)]);

describe("MQTT", { skip: missingServers("mosquitto"), timeout: 60_000 }, () => {
  let here: Here;
  let broker: ChildProcess;
  let webSocketPort: number;
  before(async () => {
    here = await Here.open();
    webSocketPort = await freePort();
    broker = await startMosquitto(here, `listener ${webSocketPort}\nprotocol websockets\n`);
  });
  const clients: MqttClient[] = [];
  after(async () => {
    for (const client of clients) client.end(true);
    await here?.[Symbol.asyncDispose]();
  });

  const connected = async (url = `mqtt://[::1]:${here.port}`): Promise<MqttClient> => {
    const client = await connectAsync(url, { reconnectPeriod: 10 });
    client.on("error", () => {});
    clients.push(client);
    return client;
  };

  test("a PINGREQ is answered, also over WebSocket", async () => {
    for (const url of [`mqtt://[::1]:${here.port}`, `ws://127.0.0.1:${webSocketPort}`]) {
      const client = await connected(url);
      const { clock, seen, beats } = watch(overMqtt(client));
      for (let round = 0; round < 3; round++) {
        clock.advanceSync(20_000);
        await until("the answer", () => seen.at(-1) === "answer");
      }
      assert.deepEqual(seen, ["beat", "answer", "beat", "answer", "beat", "answer"]);
      beats.close();
      await client.endAsync(true);
    }
  });

  test("messages are proof of life", async () => {
    const client = await connected();
    const { clock, seen, beats } = watch(overMqtt(client));
    await client.subscribeAsync("topic");
    for (let round = 0; round < 5; round++) {
      clock.advanceSync(19_000);
      client.publish("topic", "message");
      await until("the message", () => beats.silentMs === 0);
    }
    assert.equal(seen.length, 0);
    await client.endAsync(true);
    await until("the end", () => seen.includes("end"));
    assert.deepEqual(seen, ["end"]);
  });

  test("a broker that hangs is let go of, and the client comes back by itself", async () => {
    const both = [await connected(), await connected(`ws://127.0.0.1:${webSocketPort}`)];
    const watched = both.map((client) => watch(overMqtt(client)));
    broker.kill("SIGSTOP");
    const closed = Promise.all(both.map((client) => event(client, "close")));
    for (const { clock, seen, beats } of watched) {
      clock.advanceSync(35_000);
      assert.deepEqual(seen, ["beat", "suspect", "beat", "beat", "verdict", "end"]);
      assert.equal(beats.verdict?.state, "unresponsive");
      assert.equal(clock.pending, 0);
    }
    await closed;
    const again = Promise.all(both.map((client) => event(client, "connect")));
    broker.kill("SIGCONT");
    await again;
    for (const client of both) {
      const { clock, seen, beats } = watch(overMqtt(client));
      clock.advanceSync(20_000);
      await until("the answer", () => seen.includes("answer"));
      beats.close();
      await client.endAsync(true);
    }
  });

  test("the broker's own rule: one and a half times the client's keep alive, and the will is sent", async () => {
    const subscriber = await connected();
    await subscriber.subscribeAsync("wills");
    // MQTT 3.1.1, section 3.1: clean session, a will, 2 s keep alive; the client says nothing more.
    const body = [text("MQTT"), Buffer.of(4, 0b110, 0, 2), text("silent"), text("wills"), text("gone")];
    const { length } = Buffer.concat(body);
    const silent = connectTcp(here.port, "127.0.0.1").resume();
    silent.write(Buffer.concat([Buffer.of(0x10, length), ...body]));
    await once(silent, "data");
    const began = Date.now();
    await event(subscriber, "message");
    const tookMs = Date.now() - began;
    // mosquitto looks every five seconds (keepalive.c).
    assert.ok(tookMs >= 2_000 && tookMs <= 12_000, `${tookMs} ms`);
    silent.destroy();
    await subscriber.endAsync(true);
  });
});
