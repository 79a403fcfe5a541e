// deadpeer's own heartbeat server, as the bench's contestant.
import { HeartbeatServer } from "../../src/server/index.js";
import { measuredOptions } from "./measured-options.js";

const server = new HeartbeatServer({ ...measuredOptions, parking: false });
await server.listen({ port: Number(process.argv[2]), host: "127.0.0.1" });
process.on("SIGUSR2", () => {
  globalThis.gc?.();
  console.log("collected");
});
console.log("ready");
