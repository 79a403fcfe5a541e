// ws with the heartbeat of its README: every 30 s whoever has not answered the last ping is ended.
import { createServer } from "node:http";
import { WebSocketServer } from "ws";
import { ready } from "./ready.js";

const http = createServer();
const server = new WebSocketServer({ server: http, perMessageDeflate: false });
server.on("connection", (socket) => {
  socket.isAlive = true;
  socket.on("error", () => {});
  socket.on("pong", () => {
    socket.isAlive = true;
  });
});
setInterval(() => {
  for (const socket of server.clients) {
    if (!socket.isAlive) {
      socket.terminate();
      continue;
    }
    socket.isAlive = false;
    socket.ping();
  }
}, 30_000);
http.listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096 }, ready);
