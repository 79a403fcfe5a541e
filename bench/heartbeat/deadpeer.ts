// deadpeer's own heartbeat server, as the bench's contestant.
import { HeartbeatServer } from "../../src/server/index.js";

const server = new HeartbeatServer({
  // The clients' beats are what is measured, so the server asks for none, and none is too many.
  detect: { idle: "30m", interval: "1m", count: 3 },
  maxSilence: "4h",
  maxSessions: 100_000,
  maxGreetings: 100_000,
  beatsPerSecond: 1_000,
});
await server.listen({ port: Number(process.argv[2]), host: "127.0.0.1" });
process.on("SIGUSR2", () => {
  globalThis.gc?.();
  console.log("collected");
});
console.log("ready");
