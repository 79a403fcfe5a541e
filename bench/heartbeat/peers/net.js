// A bare Node server that sends back what it gets: what a heartbeat costs before anybody looks at it.
import { createServer } from "node:net";
import { ready } from "./ready.js";

createServer({ noDelay: true }, (socket) => {
  socket.on("data", (bytes) => socket.write(bytes));
  socket.on("error", () => {});
}).listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096 }, ready);
