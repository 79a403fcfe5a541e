// Sends numbers, and writes down what it hears, across its own sudden ends: for restarts.test.ts. Arguments: port, folder, how many.
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { LongConnection, SessionFile } from "../../../src/client/index.js";

const [, , port = "", folder = "", many = ""] = process.argv;
const heard = `${folder}/client-heard`;
/** What was written down counts; what came again after a crash in between does not. */
let last = existsSync(heard) ? readFileSync(heard, "utf8").trim().split("\n").length : 0;
const connection = new LongConnection({
  to: `tcp://127.0.0.1:${port}`,
  detect: { idle: "300ms", interval: "100ms", count: 2 },
  backoff: { first: "10ms", most: "50ms" },
  store: new SessionFile(`${folder}/client-session`),
});
connection.on("data", (payload, sequence) => {
  if (sequence <= last) return;
  appendFileSync(heard, `${Buffer.from(payload).toString()}\n`);
  last = sequence;
});
connection.on("forgotten", () => appendFileSync(heard, "forgotten\n"));
// A few at a time, so that every cut finds some on their way.
const timer = setInterval(() => {
  for (let n = 0; n < 4 && connection.given < Number(many); n++) connection.send(`c${connection.given + 1}`);
  if (connection.given === Number(many)) clearInterval(timer);
}, 15);
