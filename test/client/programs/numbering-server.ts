// The other side of numbering-client.ts. Arguments: port, folder, how many.
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { HeartbeatServer, type Session, SessionFile } from "../../../src/server/index.js";

const [, , port = "", folder = "", many = ""] = process.argv;
const heard = `${folder}/server-heard`;
let last = existsSync(heard) ? readFileSync(heard, "utf8").trim().split("\n").length : 0;
const server = new HeartbeatServer({
  detect: { idle: "300ms", interval: "100ms", count: 2 },
  store: new SessionFile(`${folder}/server-session`),
});
server.on("data", (_, payload, sequence) => {
  if (sequence <= last) return;
  appendFileSync(heard, `${Buffer.from(payload).toString()}\n`);
  last = sequence;
});
const timer = setInterval(() => {
  const [session] = [...server.sessions] as [Session?];
  if (session === undefined) return;
  for (let n = 0; n < 4 && session.given < Number(many); n++) session.send(`s${session.given + 1}`);
  if (session.given === Number(many)) clearInterval(timer);
}, 15);
await server.listen({ port: Number(port), host: "127.0.0.1" });
