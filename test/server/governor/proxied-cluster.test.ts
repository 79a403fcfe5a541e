import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { needsNamespaces } from "../../support/namespaces.js";
import { enterOwnNetwork } from "../../support/own-network.js";
import { missingPrograms } from "../../support/programs.js";
import { ask, askTimes, GovernedCluster, hangUp, taken } from "./governed-cluster.js";
import { freePort, Haproxy } from "./haproxy.js";

const perClient = 10;
/** Two of IPv4, and of IPv6 two networks, of which the first has two addresses. */
const clients = ["127.0.0.2", "127.0.0.3", "fd77:1::1", "fd77:2::1"] as const;
const neighbour = "fd77:1::2";

const more = {
  tcp: [],
  // Otherwise one connection to the server serves several of a client.
  http: ["http-reuse never", "retries 0"],
} as const;

describe("clients of a cluster of two workers, behind haproxy with send-proxy-v2", {
  timeout: 60_000,
  skip: needsNamespaces || missingPrograms("haproxy"),
}, () => {
  let network: Disposable;
  before(() => {
    network = enterOwnNetwork([...clients, neighbour].filter((address) => address.includes(":")));
  });
  after(() => network[Symbol.dispose]());

  for (const mode of ["tcp", "http"] as const)
    for (const backend of ["127.0.0.1", "[::1]"])
      test(`each is held to its own limit (mode ${mode}, over ${backend})`, async () => {
        await using cluster = await GovernedCluster.start({
          perClient,
          proxy: { from: ["127.0.0.1", "::1"], direct: false },
        });
        const port = await freePort();
        await using haproxy = await Haproxy.start([
          { port, mode, servers: [`${backend}:${cluster.port} send-proxy-v2`], more: more[mode] },
        ]);
        assert.ok(haproxy.running);
        const asked = await Promise.all(clients.map((from) => askTimes(3 * perClient, port, from)));
        for (const [index, ofClient] of asked.entries()) {
          assert.equal(taken(ofClient).length, perClient, clients[index]);
        }
        assert.equal(new Set(taken(asked.flat()).map(({ worker }) => worker)).size, 2);
        // Another address of a network that has its number already.
        const next = await ask(port, neighbour);
        assert.equal(next.worker, null);
        const [figures] = await cluster.figures();
        assert.deepEqual(
          [figures?.connections, figures?.clients],
          [clients.length * perClient, clients.length],
        );
        // Somebody who goes makes room for himself alone.
        const [first = [], second = []] = asked;
        hangUp(taken(first).slice(0, 1));
        let again = await ask(port, "127.0.0.2");
        while (again.worker === null) again = await ask(port, "127.0.0.2");
        assert.equal((await ask(port, "127.0.0.3")).worker, null);
        hangUp([...asked.flat(), ...second, next, again]);
      });
});
