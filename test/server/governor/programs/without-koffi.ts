import { once } from "node:events";
import { connect as connectHttp2, createServer as createHttp2Server } from "node:http2";
import { Module } from "node:module";
import { type AddressInfo, connect, createServer, type Server } from "node:net";

const name = "_load";
const modules = Module as unknown as Record<typeof name, (what: string, ...rest: unknown[]) => unknown>;
const load = modules[name];
modules[name] = (what, ...rest) => {
  if (what === "koffi") throw new Error("not installed");
  return load(what, ...rest);
};
const { governServer } = await import("../../../../src/server/index.js");

async function portOf(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

// One that talks for two seconds, and one that never does.
const server = createServer((socket) => socket.on("error", () => {}).on("data", () => socket.write("heard")));
const governor = governServer(server, { idle: "600ms" });
const port = await portOf(server);
const [talking, silent] = [connect(port, "127.0.0.1"), connect(port, "127.0.0.1")];
for (const socket of [talking, silent]) socket.on("error", () => {}).resume();
await Promise.all([once(talking, "connect"), once(silent, "connect")]);
const timer = setInterval(() => talking.write("x"), 100);
const [first] = (await once(governor, "evicted")) as [{ remote: { port: number } }];
const silentFirst = first.remote.port === silent.localPort;
await new Promise((resolve) => setTimeout(resolve, 2_000));
const { idle } = governor.snapshot().evicted;
clearInterval(timer);
await once(governor, "evicted");
server.close();

// GOAWAY without a notice, and the request in flight is finished.
const h2 = createHttp2Server((_request, response) => setTimeout(() => response.end("done"), 300));
const h2Governor = governServer(h2, {});
const client = connectHttp2(`http://127.0.0.1:${await portOf(h2)}`);
const stream = client.request().setEncoding("utf8");
let text = "";
stream.on("data", (piece: string) => (text += piece));
await once(h2, "request");
const drained = h2Governor.drain({ within: "20s" });
await once(stream, "end");
const { cutOff } = await drained;
process.stdout.write(JSON.stringify({ silentFirst, idle, text, cutOff }));
process.exit();
