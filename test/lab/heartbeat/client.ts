// Connects to the real servers of all adapters, and watches each connection by heartbeats: on a host of the lab. Its arguments are the
// server's addresses; what it does is said on stdin, a word a line; what happens it says on stdout, a JSON object a line.
import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { createInterface } from "node:readline";
import { setImmediate as turn } from "node:timers/promises";
import { connect as connectAmqp } from "amqplib";
import { Redis } from "ioredis";
import { connectAsync as connectMqtt } from "mqtt";
import { Pool, type PoolClient } from "pg";
import { createClient } from "redis";
import { WebSocket as BrowserWebSocket } from "undici";
import { WebSocket } from "ws";
import {
  type HeartbeatAdapter,
  heartbeat,
  overAmqp,
  overHttp2,
  overIoredis,
  overMessages,
  overMqtt,
  overNodeRedis,
  overPg,
  overWebSocket,
  PingPace,
} from "../../../src/heartbeat/index.js";
import { VirtualClock } from "../../../src/time/virtual-clock.js";
import { ports } from "./servers.js";

interface Connection {
  readonly name: string;
  readonly adapter: () => HeartbeatAdapter;
  /** Something that the application does over it, with the server's answer; null: it is waiting for something. */
  readonly talk: (() => Promise<unknown>) | null;
  /** Nothing is ever asked over it: the peer beats on its own account. */
  readonly listens?: boolean;
}

const say = (event: object): void => console.log(JSON.stringify({ at: Date.now(), ...event }));
const nothing = (): void => {};
const connections: Connection[] = [];

async function connectAll(address: string): Promise<void> {
  const family = address.includes(":") ? 6 : 4;
  const inUrl = family === 6 ? `[${address}]` : address;
  const add = (name: string, connection: Omit<Connection, "name">): void => {
    connections.push({ name: `${name} v${family}`, ...connection });
  };
  await Promise.all([
    webSockets(inUrl, add),
    http2(inUrl, add),
    mqtt(address, add),
    ioredis(address, add),
    nodeRedis(address, add),
    postgres(address, add),
    amqp(inUrl, add),
  ]);
}

type Add = (name: string, connection: Omit<Connection, "name">) => void;

async function webSockets(host: string, add: Add): Promise<void> {
  const ws = new WebSocket(`ws://${host}:${ports.webSocket}/`);
  await once(ws, "open");
  ws.on("error", nothing);
  const talk = async (): Promise<void> => {
    const answered = once(ws, "message");
    ws.send("question");
    await answered;
  };
  add("ws", { adapter: () => overWebSocket(ws), talk });

  const browser = new BrowserWebSocket(`ws://${host}:${ports.webSocket}/messages`);
  await new Promise((resolve) => browser.addEventListener("open", resolve));
  browser.addEventListener("error", nothing);
  add("messages", { adapter: () => overMessages(browser), talk: async () => browser.send("question") });
}

async function http2(host: string, add: Add): Promise<void> {
  for (const paced of [false, true]) {
    const session = connectHttp2(`http://${host}:${ports.http2}`);
    session.on("error", nothing);
    await once(session, "connect");
    const talk = async (): Promise<void> => {
      const stream = session.request({ ":path": "/" });
      stream.resume();
      await once(stream, "close");
    };
    if (paced)
      add("http2 at gRPC's pace", {
        adapter: () => overHttp2(session, { pace: new PingPace() }),
        talk: null,
      });
    else add("http2", { adapter: () => overHttp2(session), talk });
  }
}

async function mqtt(host: string, add: Add): Promise<void> {
  const client = await connectMqtt({ host, port: ports.mqtt, protocol: "mqtt", reconnectPeriod: 0 });
  client.on("error", nothing);
  add("mqtt", {
    adapter: () => overMqtt(client),
    talk: () => client.publishAsync("topic", "message", { qos: 1 }),
  });
}

async function ioredis(host: string, add: Add): Promise<void> {
  const connected = async (): Promise<Redis> => {
    const redis = new Redis({ host, port: ports.redis, retryStrategy: () => null });
    redis.on("error", nothing);
    await once(redis, "ready");
    return redis;
  };
  const redis = await connected();
  add("ioredis", { adapter: () => overIoredis(redis), talk: () => redis.incr("counter") });
  const subscriber = await connected();
  await subscriber.subscribe("channel");
  add("ioredis, subscribed", {
    adapter: () => overIoredis(subscriber),
    talk: () => redis.publish("channel", "news"),
  });
  const blocked = await connected();
  blocked.blpop("never", 0).catch(nothing);
  add("ioredis, in BLPOP", { adapter: () => overIoredis(blocked), talk: null });
}

async function nodeRedis(host: string, add: Add): Promise<void> {
  const client = createClient({ socket: { host, port: ports.redis } });
  // In the older protocol a subscriber may send little else than PING.
  const subscriber = client.duplicate({ RESP: 2, maintNotifications: "disabled" });
  for (const one of [client, subscriber]) {
    one.on("error", nothing);
    await one.connect();
  }
  add("node-redis", { adapter: () => overNodeRedis(client), talk: () => client.incr("counter") });
  await subscriber.subscribe("channel", nothing);
  add("node-redis, subscribed", {
    adapter: () => overNodeRedis(subscriber),
    talk: () => client.publish("channel", "news"),
  });
}

async function postgres(host: string, add: Add): Promise<void> {
  const pool = new Pool({
    host,
    port: ports.postgres,
    user: "tester",
    database: "postgres",
    idleTimeoutMillis: 0,
  });
  pool.on("error", nothing);
  const taken = async (): Promise<PoolClient> => (await pool.connect()).on("error", nothing);
  const [idle, busy, open] = [await taken(), await taken(), await taken()];
  idle.release();
  add("pg", { adapter: () => overPg(idle), talk: () => pool.query("SELECT 1") });
  busy.query("SELECT pg_sleep(3600)").catch(nothing);
  add("pg, in a query", { adapter: () => overPg(busy), talk: null });
  await open.query("BEGIN");
  add("pg, in a transaction", { adapter: () => overPg(open), talk: null });
}

async function amqp(host: string, add: Add): Promise<void> {
  const connection = await connectAmqp(`amqp://${host}:${ports.amqp}?heartbeat=3`);
  connection.on("error", nothing);
  const channel = await connection.createChannel();
  channel.on("error", nothing);
  const { queue } = await channel.assertQueue("", { exclusive: true });
  add("amqp", { adapter: () => overAmqp(connection), talk: () => channel.checkQueue(queue), listens: true });
}

/** Heartbeats on the system's clock, all that happens told. */
function watch(): void {
  for (const { name, adapter } of connections) {
    const beats = heartbeat(adapter(), "demanding");
    beats.on("verdict", ({ state, certainty, sentence }) =>
      say({ event: "verdict", name, state, certainty, sentence }),
    );
    beats.on("end", () => beats.verdict === null && say({ event: "end", name }));
    beats.on("suspect", () => say({ event: "suspect", name }));
    beats.on("recovered", () => say({ event: "recovered", name }));
    beats.on("answer", () => say({ event: "answer", name }));
  }
  say({ event: "watching", names: connections.map(({ name }) => name) });
}

/**
 * An hour of normal traffic over each connection: now and then the application talks, and there are silences of a few minutes. Real
 * programs and packets; only the heartbeat's clock is a virtual one, which goes on when nothing is on its way.
 */
async function hour(): Promise<void> {
  await Promise.all(connections.filter(({ talk }) => talk !== null).map(hourOf));
  say({ event: "hour over" });
}

async function hourOf({ name, adapter, talk, listens = false }: Connection): Promise<void> {
  const clock = new VirtualClock();
  const beats = heartbeat(adapter(), "normal", { clock, phase: 0.5 });
  const seen = { beats: 0, alarms: 0 };
  beats.on("beat", () => seen.beats++);
  beats.on("suspect", () => seen.alarms++);
  beats.on("verdict", () => seen.alarms++);
  let answered = 0;
  beats.on("answer", () => answered++);
  for (let second = 1; second <= 3_600 && beats.active; second++) {
    clock.advanceSync(1_000);
    await answers(() => beats.active && !listens && answered < seen.beats);
    // A broker's own heartbeats keep to real time; what is delivered stands for them.
    if (listens ? second % 20 === 0 : second % 60 === 0 && second % 300 > 60) await talk?.();
  }
  say({ event: "hour", name, ...seen, active: beats.active });
  beats.close();
}

async function answers(missing: () => boolean): Promise<void> {
  for (const began = Date.now(); missing(); await turn())
    if (Date.now() - began > 10_000) throw new Error("a beat was not answered");
}

await Promise.all(process.argv.slice(2).map(connectAll));
say({ event: "connected" });
for await (const word of createInterface({ input: process.stdin })) {
  if (word === "watch") watch();
  else if (word === "hour") await hour();
}
process.exit();
