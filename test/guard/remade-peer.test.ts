import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { describe, test } from "node:test";
import { guard } from "../../src/guard/guard.js";
import type { Verdict } from "../../src/verdict/verdict.js";
import { Hosts, needsNamespaces } from "../support/namespaces.js";

const settings = { keepalive: { idleMs: 1_000, intervalMs: 1_000, count: 3 }, userTimeoutMs: 0 };

// A file of its own: the whole far host is taken away, and entering the near one is for good.
describe("a peer whose host starts anew at the same address", {
  skip: needsNamespaces,
  timeout: 60_000,
}, () => {
  test("reset, at the first keepalive probe, or at the first data", async () => {
    using hosts = new Hosts();
    hosts.enter("near");
    const accepted: Socket[] = [];
    const server = createServer((socket) => accepted.push(socket.on("error", () => {})));
    hosts.in("far", () => server.listen(7_000));
    const verdicts: Promise<Verdict>[] = [];
    const sockets: Socket[] = [];
    for (const family of [4, 6] as const)
      for (const probe of ["keepalive", "data"]) {
        const socket = connect({ host: hosts.address("far", family), port: 7_000 });
        await once(socket, "connect");
        socket.on("error", () => {});
        const guarded = guard(socket, settings);
        verdicts.push(once(guarded, "verdict").then(([verdict]) => verdict as Verdict));
        if (probe === "data") sockets.push(socket);
      }

    hosts.remakeFar();
    for (const socket of sockets) socket.write("are you the one I knew?");

    for (const [index, verdict] of (await Promise.all(verdicts)).entries()) {
      const { state, errno, certainty, timer, regime } = verdict;
      assert.deepEqual(
        { state, errno, certainty },
        { state: "reset", errno: "ECONNRESET", certainty: "certain" },
      );
      if (index % 2 === 0) assert.deepEqual({ timer, regime }, { timer: "keepalive", regime: "idle" });
      else assert.equal(regime, "sending");
    }
    for (const socket of accepted) socket.destroy();
    server.close();
  });
});
