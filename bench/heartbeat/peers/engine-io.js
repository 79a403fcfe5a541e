// Engine.IO, whose server asks: an interval of 500 ms over 10 000 connections makes 20 000 beats a second.
import { createServer } from "node:http";
import { Server } from "engine.io";
import { ready } from "./ready.js";

const http = createServer();
const options = {
  pingInterval: Number(process.argv[3] ?? 500),
  pingTimeout: 20_000,
  perMessageDeflate: false,
};
new Server({ transports: ["websocket"], ...options }).attach(http);
http.listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096 }, ready);
