// deadpeer's heartbeat server with parking, as a contestant of the bench.
import { HeartbeatServer } from "../../src/server/index.js";
import { measuredOptions } from "./measured-options.js";

const server = new HeartbeatServer({
  ...measuredOptions,
  parking: { after: "500ms" },
});
await server.listen({ port: Number(process.argv[2]), host: "127.0.0.1" });
process.on("SIGUSR2", async () => {
  // What has connected is parked by then, and what it left behind can be collected.
  for (let tries = 0; server.parkedCount < server.sessionCount && tries < 500; tries++)
    await new Promise((resolve) => setTimeout(resolve, 20));
  globalThis.gc?.();
  console.log("collected");
});
console.log("ready");
