// node:http with an agent that the keep-alive race cannot hit.
import { once } from "node:events";
import { get } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { createAgent } from "deadpeer/http";

const [url = "http://127.0.0.1:8080/", pauseMs = "1000"] = process.argv.slice(2);
const agent = createAgent({ detect: { detectWithin: "35s" } });

for (let count = 0; count < 5; count++) {
  const [response] = await once(get(url, { agent }), "response");
  let text = "";
  for await (const part of response) text += String(part);
  console.log(response.statusCode, text);
  await sleep(Number(pauseMs));
}

console.log(agent.figures);
agent.destroy();
