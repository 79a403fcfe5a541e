// A governed server that drains on SIGTERM, and ends at once on a second one: `node drained-server.js http1|http2 HOST WITHIN`.
// http1 answers WebSockets as well, with what they say. Says "port N" when it listens, and in the end what became of its connections.
import { createServer } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import type { AddressInfo } from "node:net";
import { WebSocketServer } from "ws";
import { governServer } from "../../../../src/server/index.js";

const [kind, host = "127.0.0.1", within = "5s"] = process.argv.slice(2);

/** Some answers take a while: they are in flight when draining begins. */
function afterAWhile(answer: () => void): void {
  setTimeout(answer, Math.random() * 20);
}

const server =
  kind === "http2"
    ? createHttp2Server((_, response) => afterAWhile(() => response.end("hello\n")))
    : createServer((_, response) => afterAWhile(() => response.end("hello\n")));
if (kind === "http1")
  new WebSocketServer({ server: server as ReturnType<typeof createServer> }).on("connection", (socket) => {
    socket.on("message", (message) => socket.send(message));
    socket.on("error", () => {});
  });
const governor = governServer(server, { detect: "35s", idle: "1m", head: "10s" });
server.listen({ port: 0, host, backlog: 1_024 }, () => {
  console.log(`port ${(server.address() as AddressInfo).port}`);
});
process.on("SIGTERM", () => {
  void governor
    .drain({ within, now: governor.draining })
    .then((report) => console.log(JSON.stringify(report)));
});
