import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { governServer } from "../../../../src/server/index.js";

// Says its port, and when the first connection has begun its request; gives each head five seconds.
const server = createServer((_request, response) => response.end("in time"));
const governor = governServer(server, { head: "5s" });
server.listen(0, "127.0.0.1");
await once(server, "listening");
process.stdout.write(`${(server.address() as AddressInfo).port}\n`);
const looking = setInterval(() => {
  if ((governor.connections()[0]?.bytesRead ?? 0) === 0) return;
  clearInterval(looking);
  process.stdout.write("begun\n");
}, 20);
