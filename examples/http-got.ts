// got over agents that the keep-alive race cannot hit.
import { setTimeout as sleep } from "node:timers/promises";
import { createAgent, createHttpsAgent } from "deadpeer/http";
import { got } from "got";

const [url = "http://127.0.0.1:8080/", pauseMs = "1000"] = process.argv.slice(2);
const http = createAgent();
const https = createHttpsAgent();
// got would try again by itself, after a second, and hide what the agent does.
const client = got.extend({ agent: { http, https }, retry: { limit: 0 } });

for (let count = 0; count < 5; count++) {
  const { statusCode, body } = await client(url);
  console.log(statusCode, body);
  await sleep(Number(pauseMs));
}

console.log(http.figures);
http.destroy();
https.destroy();
