// axios over agents that the keep-alive race cannot hit.
import { setTimeout as sleep } from "node:timers/promises";
import { create } from "axios";
import { createAgent, createHttpsAgent } from "deadpeer/http";

const [url = "http://127.0.0.1:8080/", pauseMs = "1000"] = process.argv.slice(2);
const httpAgent = createAgent();
const httpsAgent = createHttpsAgent();
const client = create({ httpAgent, httpsAgent, proxy: false });

for (let count = 0; count < 5; count++) {
  const { status, data } = await client.get<string>(url);
  console.log(status, data);
  await sleep(Number(pauseMs));
}

console.log(httpAgent.figures);
httpAgent.destroy();
httpsAgent.destroy();
