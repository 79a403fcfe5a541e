// fetch() that the keep-alive race cannot hit. Run it with the address of a server, which it asks five times with pauses.
import { setTimeout as sleep } from "node:timers/promises";
import { createDispatcher } from "deadpeer/http";
import { fetch } from "undici";

const [url = "http://127.0.0.1:8080/", pauseMs = "1000"] = process.argv.slice(2);

// As `deadpeer http URL` measured the server; without it the server's Keep-Alive header counts.
const dispatcher = createDispatcher({ detect: { detectWithin: "35s" } });

for (let count = 0; count < 5; count++) {
  const response = await fetch(url, { dispatcher });
  console.log(response.status, await response.text());
  await sleep(Number(pauseMs));
}

// A body of text or bytes is sent again if need be. A POST only with a key by which the server knows it again.
const headers = { "idempotency-key": crypto.randomUUID() };
const order = await fetch(url, { dispatcher, method: "POST", headers, body: "an order" });
console.log(order.status, await order.text());

console.log(dispatcher.figures);
await dispatcher.close();
