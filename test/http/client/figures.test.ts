import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Registry } from "prom-client";
import { buildConnector, request } from "undici";
import { guardOn } from "../../../src/guard/guard.js";
import { createAgent, createDispatcher } from "../../../src/http/index.js";
import { libcProblem } from "../../../src/kernel/libc.js";
import type { Verdict } from "../../../src/verdict/verdict.js";
import { get } from "../../support/http-get.js";
import { until } from "../../support/until.js";
import { end, ok, reset, scriptedServer } from "../../support/scripted-http.js";

describe("figures", () => {
  test("are shown in the caller's registry, by client", async () => {
    await using server = await scriptedServer(({ connection, index, socket }) =>
      connection > 0 || index === 0 ? ok : reset(socket),
    );
    const registry = new Registry();
    const dispatcher = createDispatcher({ connections: 1, registry, name: "upstream" });
    const agent = createAgent({ registry });
    for (let count = 0; count < 3; count++) await (await request(server.origin, { dispatcher })).body.text();
    await get(server.origin, { agent });
    const shown = async (): Promise<Record<string, number>> => {
      const all = await registry.getMetricsAsJSON();
      return Object.fromEntries(
        all.flatMap(({ name, values }) =>
          values.map(({ labels, value }) => [`${name} ${String(labels["client"])}`, value]),
        ),
      );
    };
    const before = await shown();
    assert.equal(before["deadpeer_http_client_connections_total upstream"], 2);
    assert.equal(before["deadpeer_http_client_connections_total default"], 1);
    assert.equal(before["deadpeer_http_client_reused_total upstream"], 2);
    assert.equal(before["deadpeer_http_client_stale_total upstream"], 1);
    assert.equal(before["deadpeer_http_client_replayed_total upstream"], 1);
    assert.equal(before["deadpeer_http_client_expired_total upstream"], 0);
    assert.ok((before["deadpeer_http_client_handshake_seconds_saved_total upstream"] ?? 0) > 0);
    assert.match(await registry.metrics(), /^# TYPE deadpeer_http_client_stale_total counter$/m);

    await dispatcher.close();
    agent.destroy();
    assert.deepEqual(await shown(), before, "what was counted stays");
    const heir = createDispatcher({ registry, name: "upstream" });
    await (await request(server.origin, { dispatcher: heir })).body.text();
    assert.equal((await shown())["deadpeer_http_client_connections_total upstream"], 3);
    await heir.close();
  });
});

describe("connections are guarded", () => {
  const skip = libcProblem() === null ? false : "needs koffi on Linux";
  const detect = { keepalive: { idleMs: 77_000, intervalMs: 7_000, count: 3 }, userTimeoutMs: 90_000 };

  test("also after Node's agent has had them back", { skip }, async () => {
    await using server = await scriptedServer(() => ok);
    const agent = createAgent({ detect });
    const connect = buildConnector({});
    const sockets: Socket[] = [];
    const dispatcher = createDispatcher({
      detect,
      connections: 1,
      connect: (options, callback) =>
        connect(options, (...result) => {
          if (result[1] !== null) sockets.push(result[1]);
          callback(...result);
        }),
    });
    for (let count = 0; count < 2; count++) {
      const { response } = await get(server.origin, { agent });
      assert.equal(response.statusCode, 200);
      await (await request(server.origin, { dispatcher })).body.text();
    }
    await new Promise(setImmediate);
    sockets.push(...Object.values(agent.freeSockets).flatMap((free) => free ?? []));
    assert.equal(sockets.length, 2);
    for (const socket of sockets) {
      const held = guardOn(socket)?.snapshot()?.settings;
      assert.deepEqual(held?.keepalive, detect.keepalive);
      assert.equal(held?.userTimeoutMs, detect.userTimeoutMs);
    }
    agent.destroy();
    await dispatcher.destroy();
  });

  test("and what became of them is told", async () => {
    const verdicts: [string, Verdict["state"]][] = [];
    await using server = await scriptedServer(({ socket }) => end(socket, ok));
    const onVerdict = (verdict: Verdict, origin: string): void => void verdicts.push([origin, verdict.state]);
    const dispatcher = createDispatcher({ onVerdict });
    const agent = createAgent({ onVerdict });
    await (await request(server.origin, { dispatcher })).body.text();
    await get(server.origin, { agent });
    await until(() => verdicts.length === 2);
    assert.deepEqual(verdicts, [
      [server.origin, "closed"],
      [server.origin, "closed"],
    ]);
    await dispatcher.destroy();
    agent.destroy();
  });

  test("but not over Unix sockets, which have no peer that could vanish", async () => {
    const folder = mkdtempSync(join(tmpdir(), "deadpeer-http-"));
    const socketPath = join(folder, "socket");
    const server = createServer((_, response) => response.end("ok"));
    server.listen(socketPath);
    await once(server, "listening");
    const dispatcher = createDispatcher({ socketPath });
    const agent = createAgent();
    for (let count = 0; count < 2; count++) {
      assert.equal(await (await request("http://localhost", { dispatcher })).body.text(), "ok");
      assert.equal((await get("http://localhost", { agent, socketPath })).text, "ok");
    }
    agent.destroy();
    await dispatcher.destroy();
    server.close();
    rmSync(folder, { recursive: true });
  });
});
