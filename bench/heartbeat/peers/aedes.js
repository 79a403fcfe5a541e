// An MQTT broker in Node; it answers PINGREQ.
import { createServer } from "node:net";
import aedes from "aedes";
import { ready } from "./ready.js";

const broker = aedes({ heartbeatInterval: 60_000 });
createServer({ noDelay: true }, broker.handle).listen(
  { port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096 },
  ready,
);
