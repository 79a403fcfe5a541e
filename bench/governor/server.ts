// The bench's server: Node's own http server, bare, or under a policy that uses every limit there is on the way of a request.
//
//   node --expose-gc server.js bare|governed IDLE
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { governServer } from "../../src/server/index.js";
import type { ServerAnswer, ServerCommand } from "./messages.js";

const [kind, idle = "10m"] = process.argv.slice(2);

const server = createServer((_, response) => response.end("hello\n"));
// Bare and governed hold their idle connections equally long; the accuracy is that of the governor's limit alone.
server.keepAliveTimeout = 0;
if (kind === "governed")
  governServer(server, {
    detect: "35s",
    idle,
    firstByte: "10s",
    head: "10s",
    maxAge: "12h",
    body: { bytesPerSecond: 1_000 },
    total: 19_000,
    perClient: 19_000,
    newPerClient: { count: 20_000, within: "1s" },
  });

server.listen({ port: 0, host: "127.0.0.1", backlog: 4_096 }, () =>
  say({ port: (server.address() as AddressInfo).port }),
);

process.on("message", (command: ServerCommand) => {
  if (command !== "collect") return;
  globalThis.gc?.();
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  say({ heapBytes: heapUsed + external });
});
process.once("disconnect", () => process.exit());

function say(answer: ServerAnswer): void {
  process.send?.(answer);
}
