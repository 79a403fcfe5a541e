import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { drainOnSignals, governServer } from "../../../../src/server/index.js";

// Says its port, each request, and each signal; ends with 1 where something was cut off.
const server = createServer((request, response) => {
  process.stdout.write("request\n");
  if (request.url === "/") setTimeout(() => response.end("answered"), 700);
});
const governor = governServer(server, {});
const drained = drainOnSignals(governor, { within: "1m" });
process.on("SIGTERM", () => process.stdout.write("signal\n"));
server.listen(0, "127.0.0.1");
await once(server, "listening");
process.stdout.write(`${(server.address() as AddressInfo).port}\n`);
const { cutOff } = await drained;
process.exit(cutOff);
