import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { describe, test } from "node:test";
import { DeadpeerError } from "../../src/errors.js";
import { guardListener } from "../../src/guard/listener.js";
import { readSettings } from "../../src/kernel/socket-options.js";
import type { Settings } from "../../src/plan/settings.js";
import { builtSource, fdOf } from "../kernel/support.js";
import { tlsServer } from "../support/tls.js";

const settings: Settings = {
  keepalive: { idleMs: 20_000, intervalMs: 5_000, count: 3 },
  userTimeoutMs: 35_000,
};
const held = { ...settings.keepalive, enabled: true };

/** What the next accepted socket holds before anything in this process has touched it. */
async function acceptedSettings(server: Server): Promise<ReturnType<typeof readSettings>> {
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  client.on("error", () => {});
  const [socket] = (await once(server, "connection")) as [Socket];
  const found = readSettings(fdOf(socket));
  client.destroy();
  socket.destroy();
  return found;
}

describe("a guarded listener", () => {
  for (const [name, make] of [
    ["net", () => createServer()],
    ["http", () => createHttpServer()],
    ["tls", tlsServer],
  ] as [string, () => Server][])
    test(`${name}: accepted sockets inherit, also after the server has listened anew`, async () => {
      const server = make();
      const before = listenerCounts(server);
      const guarded = guardListener(server, settings);
      for (let round = 0; round < 2; round++) {
        server.listen(0, "127.0.0.1");
        await once(server, "listening");
        assert.deepEqual(guarded.applied?.settings, settings);
        assert.equal(server.listenerCount("connection"), before.connection);
        const found = await acceptedSettings(server);
        assert.deepEqual(found.keepalive, held);
        assert.equal(found.userTimeoutMs, settings.userTimeoutMs);
        server.close();
        await once(server, "close");
      }
      guarded.close();
      assert.deepEqual(listenerCounts(server), before);
    });

  test("a server that listens already", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const abort = new AbortController();
    guardListener(server, settings, { signal: abort.signal });
    assert.deepEqual((await acceptedSettings(server)).keepalive, held);
    abort.abort();
    assert.equal(server.listenerCount("listening"), 0);
    server.close();
  });

  test("what is no server is refused", () => {
    for (const odd of [{}, null, new EventEmitter()])
      assert.throws(
        () => guardListener(odd as never, settings),
        (thrown) => thrown instanceof DeadpeerError && thrown.code === "no-socket",
      );
  });

  test("a refusal is loud: thrown at once, or as an 'error' of the guard", async () => {
    const impossible: Settings = { keepalive: { idleMs: 1, intervalMs: 1, count: 1 }, userTimeoutMs: 0 };
    const server = createServer();
    const guarded = guardListener(server, impossible);
    server.listen(0, "127.0.0.1");
    const [error] = (await once(guarded, "error")) as [DeadpeerError];
    assert.equal(error.code, "value-refused");
    assert.throws(
      () => guardListener(server, impossible),
      (thrown) => thrown instanceof DeadpeerError && thrown.code === "value-refused",
    );
    server.close();
  });

  test("a Unix socket's server is refused", async () => {
    const server = createServer().listen(`${tmpdir()}/deadpeer-test-listener-${process.pid}.sock`);
    await once(server, "listening");
    assert.throws(
      () => guardListener(server, settings),
      (error) => error instanceof DeadpeerError && error.code === "no-socket",
    );
    server.close();
  });

  for (const policy of ["SCHED_RR", "SCHED_NONE"] as const)
    test(`in a cluster's worker under ${policy}: accepted sockets have the settings`, () => {
      const directory = mkdtempSync(`${tmpdir()}/deadpeer-test-`);
      const program = `${directory}/cluster.mjs`;
      writeFileSync(
        program,
        `import cluster from "node:cluster";
        import { connect, createServer } from "node:net";
        import { guardListener } from "${builtSource.href}guard/listener.js";
        import { readSettings } from "${builtSource.href}kernel/socket-options.js";
        cluster.schedulingPolicy = cluster.${policy};
        if (cluster.isPrimary) {
          const worker = cluster.fork();
          cluster.on("listening", (_, { port }) => connect(port, "127.0.0.1").on("error", () => {}));
          worker.on("message", (found) => {
            console.log(JSON.stringify(found));
            worker.kill();
          });
        } else {
          const server = createServer((socket) => process.send(readSettings(socket._handle.fd)));
          guardListener(server, ${JSON.stringify(settings)});
          server.listen(0, "127.0.0.1");
        }`,
      );
      const { stdout, stderr } = spawnSync(process.execPath, [program], {
        encoding: "utf8",
        timeout: 30_000,
      });
      rmSync(directory, { recursive: true });
      assert.equal(stderr, "");
      const found = JSON.parse(stdout) as ReturnType<typeof readSettings>;
      assert.deepEqual(found.keepalive, held);
      assert.equal(found.userTimeoutMs, settings.userTimeoutMs);
    });
});

function listenerCounts(server: Server): { connection: number; listening: number } {
  return { connection: server.listenerCount("connection"), listening: server.listenerCount("listening") };
}
