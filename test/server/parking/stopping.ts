// A server for tests that stop its process: node stopping.js OPTIONS-AS-JSON
// Over its channel: its port, each session that is given up with the monotonic time, and on any message how many are parked.
import { HeartbeatServer } from "../../../src/server/heartbeat-server.js";

const server = new HeartbeatServer(JSON.parse(process.argv[2] ?? "{}"));
const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6;
server.on("offline", ({ id }, { state, sentence }) =>
  process.send?.({ is: "offline", id, state, sentence, atMs: nowMs() }),
);
process.on("message", (ahead: number | "count") => {
  if (ahead === "count") {
    const { sessionCount: sessions, parkedCount: parked } = server;
    process.send?.({ is: "count", sessions, parked });
    return;
  }
  // People's clock is set, as by an administrator or a time server.
  const now = Date.now;
  Date.now = () => now() + ahead;
});
process.on("disconnect", () => process.exit());
const { port } = await server.listen({ port: 0 });
process.send?.({ is: "listening", port });
