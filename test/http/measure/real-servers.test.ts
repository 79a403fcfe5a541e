import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { describe, test } from "node:test";
import { findingsOf } from "../../../src/http/measure/findings.js";
import {
  missingPrograms,
  type RealServer,
  startApache,
  startHaproxy,
  startLighttpd,
  startNginx,
} from "../real-servers.js";
import { measure } from "./measure.js";

interface Case {
  readonly name: string;
  readonly start: () => Promise<RealServer>;
  readonly configuredMs: number;
  readonly advertisedMs: number | null;
  readonly limit: number | null;
}

const cases: readonly Case[] = [
  {
    name: "nginx",
    start: () => startNginx("keepalive_timeout 2s 1s; keepalive_requests 50;"),
    configuredMs: 2_000,
    advertisedMs: 1_000,
    limit: 50,
  },
  {
    name: "haproxy",
    start: () => startHaproxy("timeout http-keep-alive 3s"),
    configuredMs: 3_000,
    advertisedMs: null,
    limit: null,
  },
  {
    name: "apache2",
    start: () => startApache("KeepAlive On\nKeepAliveTimeout 4\nMaxKeepAliveRequests 60"),
    configuredMs: 4_000,
    advertisedMs: 4_000,
    // The first one is not counted among those that follow it.
    limit: 61,
  },
  {
    name: "lighttpd",
    start: () => startLighttpd("server.max-keep-alive-idle = 3\nserver.max-keep-alive-requests = 40"),
    configuredMs: 3_000,
    advertisedMs: null,
    limit: 41,
  },
];

/** What was asked for: of each server, its timeout within so much. */
const withinMs = 300;

describe("measured against what is configured", { concurrency: 3 }, () => {
  for (const { name, start, configuredMs, advertisedMs, limit } of cases)
    for (const host of ["127.0.0.1", "[::1]"])
      test(`${name} over ${host}`, { skip: missingPrograms(name) }, async () => {
        await using server = await start();
        const measured = await measure(`http://${host}:${server.port}/`, { requests: 70 });
        const { look, idle, requests, cost, connectionHeader } = measured;
        assert.equal(measured.problem, null);
        assert.equal(look.whyNot, null);
        assert.equal(look.protocol, "HTTP/1.1");
        assert.ok(idle !== null && idle.highMs !== null);
        assert.ok(Math.abs(idle.lowMs - configuredMs) <= withinMs, `${idle.lowMs} to ${idle.highMs} ms`);
        assert.equal(idle.by, "fin");
        assert.equal(look.hint?.timeoutMs ?? null, advertisedMs);
        assert.equal(requests?.limit ?? null, limit);
        if (limit !== null) assert.equal(requests?.announced, true);
        assert.equal(connectionHeader?.closeHonoured, true);
        assert.equal(connectionHeader?.http10Closes, true);
        assert.ok(cost !== null && cost.newMs > 0 && cost.reusedMs > 0);
        if (process.platform === "linux") {
          assert.ok(cost.newPackets !== null && cost.reusedPackets !== null);
          assert.ok(cost.reusedPackets < cost.newPackets, JSON.stringify(cost));
        }
        const codes = findingsOf(measured).map(({ code }) => code);
        // nginx says half of what it keeps here, so that clients are gone in time.
        assert.deepEqual(codes, name === "nginx" ? [] : ["race-window"]);
      });

  test("Node, whose own clock is the oracle", async () => {
    const server = createServer((_, response) => response.end("hello"));
    server.keepAliveTimeout = 2_000;
    const seenMs: number[] = [];
    const sinceMs = new Map<Socket, number>();
    server.on("request", (request, response) =>
      response.on("finish", () => sinceMs.set(request.socket, performance.now())),
    );
    // Later versions of Node keep a connection for longer than they say.
    server.on("connection", (socket) =>
      socket.prependListener("timeout", () =>
        seenMs.push(performance.now() - (sinceMs.get(socket) ?? Number.NaN)),
      ),
    );
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { idle, look } = await measure(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`, {
      requests: 20,
    });
    server.closeAllConnections();
    server.close();
    assert.equal(look.hint?.timeoutMs, 2_000);
    assert.ok(idle !== null && idle.highMs !== null);
    const keptMs = Math.min(...seenMs);
    assert.ok(keptMs >= 1_900, `${keptMs}`);
    assert.ok(
      Math.abs(idle.lowMs - keptMs) <= withinMs,
      `${idle.lowMs} to ${idle.highMs}, kept ${keptMs} ms`,
    );
  });
});
