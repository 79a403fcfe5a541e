import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { governServer } from "../../../../src/server/index.js";

// Says its port, greets, and on a signal says how things stand, and whether it can still open a file.
const server = createServer((socket) => socket.on("error", () => {}).write("in"));
const governor = governServer(server, {});
server.listen(0, "127.0.0.1");
await once(server, "listening");
process.on("SIGUSR2", () => {
  closeSync(openSync("/dev/null", "r"));
  process.stdout.write(JSON.stringify({ ...governor.snapshot(), opened: true }));
});
process.stdout.write(`${(server.address() as AddressInfo).port}\n`);
