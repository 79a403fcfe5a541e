// The servers that Node itself brings: WebSocket (of ws) and HTTP/2, over IPv4 and IPv6, on a host of the lab.
import { once } from "node:events";
import { createServer } from "node:http2";
import { WebSocketServer } from "ws";
import { heartbeat, overMessages } from "../../../src/heartbeat/index.js";
import { ports } from "./servers.js";

const webSockets = new WebSocketServer({ host: "::", port: ports.webSocket });
webSockets.on("connection", (ws, { url }) => {
  // Far longer than the tests: it only answers.
  if (url === "/messages") heartbeat(overMessages(ws), { idle: "1h", interval: "1m", count: 3 });
  ws.on("message", (data, isBinary) => url === "/" && ws.send(data, { binary: isBinary }));
});

const http2 = createServer((request, response) => {
  request.resume();
  response.end("answer");
});
http2.listen(ports.http2, "::");
await Promise.all([once(webSockets, "listening"), once(http2, "listening")]);
console.log("ready");
