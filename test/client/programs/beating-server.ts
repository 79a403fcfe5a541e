// A server of all kinds for faults.test.ts, which tells what it sees as lines of JSON. Arguments: what to detect by, as JSON.
import { HeartbeatServer, type Session } from "../../../src/server/index.js";
import type { Wanted } from "../../../src/heartbeat/engine/settings.js";
import { selfSigned } from "../../support/certificate.js";

const detect = JSON.parse(process.argv[2] ?? "") as Wanted;
const server = new HeartbeatServer({ detect, grace: "5m" });
const tell = (event: string, session?: Session, more: object = {}): void => {
  console.log(JSON.stringify({ at: Date.now(), event, way: session?.context, ...more }));
};
server.on("data", (session, payload) => {
  session.context = Buffer.from(payload).toString();
  tell("session", session);
});
server.on("offline", (session, { state, sentence }) => tell("offline", session, { state, sentence }));
server.on("resumed", (session) => tell("resumed", session));
await server.listen({ port: 7443 });
await server.listenTls({ port: 7444, tls: selfSigned() });
await server.listenUdp({ port: 7445, key: Buffer.alloc(32, 7) });
tell("ready");
