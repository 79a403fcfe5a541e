// A heartbeat server whose sessions are cut off: says of each when it was given up, and when it should have been.
//
//   node detection.js PORT SESSIONS
//
// When all have been given up, one line of JSON on stdout: [client's port, given up at, silence after which it was due, timer].
import { HeartbeatServer, type Session } from "../../src/server/index.js";
import { profiles } from "../../src/heartbeat/engine/settings.js";
import { spread } from "../../src/heartbeat/engine/engine.js";

const { idleMs, intervalMs, count } = profiles.demanding;
const [port, expected] = process.argv.slice(2).map(Number) as [number, number];

// A session's phase decides how long it waits before it asks, and is nobody's business but the engine's: here it is overheard.
let phase = 0;
const random = Math.random;
Math.random = () => (phase = random());

const clients = new WeakMap<Session, { readonly port: number; readonly dueMs: number }>();
const givenUp: [port: number, atNs: string, dueMs: number, timer: string][] = [];

const server = new HeartbeatServer({
  detect: "demanding",
  parking: false,
  grace: "10m",
  maxGreetings: 100_000,
  beatsPerSecond: 1_000,
});
server.on("session", (session) => {
  const dueMs = idleMs * (1 - spread * phase) + intervalMs * count;
  clients.set(session, { port: session.remote?.port ?? 0, dueMs });
});
server.on("offline", (session, { timer }) => {
  const client = clients.get(session);
  if (client !== undefined) givenUp.push([client.port, String(process.hrtime.bigint()), client.dueMs, timer]);
  if (givenUp.length === expected) console.log(JSON.stringify(givenUp));
});
await server.listen({ port, host: "127.0.0.1" });
console.log("ready");
