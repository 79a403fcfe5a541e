// A cluster whose workers govern one http server: `node governed-cluster.js POLICY [HOST] [primary|no-primary] [rr|none]`, POLICY as JSON.
// Says to its parent where it listens, and answers "figures" with the primary's, and ["kill", PID] with a worker's end.
import cluster from "node:cluster";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type GovernorPolicy, governCluster, governServer } from "../../../../src/server/index.js";

const [policy = "{}", host = "::", primary = "primary", scheduling = "rr"] = process.argv.slice(2);

async function lead(): Promise<void> {
  cluster.schedulingPolicy = scheduling === "rr" ? cluster.SCHED_RR : cluster.SCHED_NONE;
  const counting = primary === "primary" ? governCluster() : null;
  const listening = [cluster.fork(), cluster.fork()].map((worker) => once(worker, "listening"));
  const [[where]] = (await Promise.all(listening)) as [[AddressInfo], [AddressInfo]];
  cluster.on("message", (worker, message: unknown) => {
    if (typeof message === "object" && message !== null && "alone" in message)
      process.send?.({ alone: message.alone, worker: worker.process.pid });
  });
  cluster.on("exit", (worker) => process.send?.({ ended: worker.process.pid }));
  process.on("message", (command: "figures" | readonly ["kill", number]) => {
    if (command === "figures") process.send?.({ figures: counting?.figures() });
    else process.kill(command[1], "SIGKILL");
  });
  process.once("disconnect", () => process.exit());
  process.send?.({ port: where.port });
}

function work(): void {
  const server = createServer((request, response) => {
    // An answer for which a request waits: it is in flight.
    if (request.url === "/wait") return;
    response.end(String(process.pid));
  });
  server.keepAliveTimeout = 0;
  const governor = governServer(server, JSON.parse(policy) as GovernorPolicy);
  governor.on("alone", ({ code }) => process.send?.({ alone: code }));
  server.listen({ port: 0, host });
  process.once("disconnect", () => process.exit());
}

if (cluster.isPrimary) await lead();
else work();
