import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { createServer, type Socket } from "node:net";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Gauge, Registry } from "prom-client";
import { WebSocket, WebSocketServer } from "ws";
import { type GovernorPolicy, governorMetrics, governServer } from "../../../src/server/index.js";
import { until } from "../../support/until.js";
import { closed, connected, hosts, listening, received } from "./support.js";

const inUrl = (host: string): string => (host.includes(":") ? `[${host}]` : host);

for (const host of hosts)
  describe(`clients on ${host}`, () => {
    test("that a trusted proxy's header names are counted while they are served", async (t) => {
      const answers: (() => void)[] = [];
      const server = createHttpServer((_request, response) => answers.push(() => response.end("done")));
      const governor = governServer(server, {
        perClient: 1,
        client: { header: { name: "x-forwarded-for", from: [host] } },
      });
      const port = await listening(t, server, host);
      const ask = async (client: string): Promise<[Socket, Promise<string>]> => {
        const socket = await connected(t, port, host);
        socket.write(`GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-forwarded-for: ${client}\r\n\r\n`);
        return [socket, received(socket)];
      };
      const [one, ofOne] = await ask("192.0.2.1");
      const [two, ofTwo] = await ask("2001:db8::1");
      await until(() => answers.length === 2);
      // The same, and one of the same /64.
      const [three, ofThree] = await ask("9.9.9.9, 192.0.2.1");
      const [four, ofFour] = await ask("2001:db8::2");
      assert.match(await ofThree, /^HTTP\/1.1 429 [^]*Retry-After/);
      assert.match(await ofFour, /^HTTP\/1.1 429 /);
      for (const answer of answers) answer();
      assert.match(await ofOne, /done$/);
      assert.match(await ofTwo, /done$/);
      const [five, ofFive] = await ask("192.0.2.1");
      await until(() => answers.length === 3);
      answers[2]?.();
      assert.match(await ofFive, /done$/);
      assert.equal(governor.snapshot().refused["per-client"], 2);
      await closed(server, one, two, three, four, five);
    });

    test("are those of their addresses where the program's key is no text", async (t) => {
      for (const key of [() => 5, async () => "a", () => undefined, () => assert.fail("no key")]) {
        const server = createServer((socket) => socket.on("error", () => {}));
        const policy = { perClient: 1, client: { key } } as unknown as GovernorPolicy;
        const governor = governServer(server, policy);
        const errors: string[] = [];
        governor.on("error", ({ message }) => errors.push(message));
        const port = await listening(t, server, host);
        for (let n = 0; n < 2; n++) await connected(t, port, host);
        await until(() => governor.snapshot().refused["per-client"] === 1);
        assert.equal(errors.length, 2);
        assert.match(errors[0] ?? "", /^client\.key: it has to return text, not |^no key$/);
      }
    });

    test("are counted for as long as their WebSockets last", async (t) => {
      const server = createHttpServer();
      const sockets = new WebSocketServer({ server });
      const governor = governServer(server, {
        perClient: 1,
        client: { header: { name: "forwarded", from: [host] } },
      });
      const port = await listening(t, server, host);
      const open = (client: string): WebSocket =>
        new WebSocket(`ws://${inUrl(host)}:${port}`, { headers: { forwarded: `for=${client}` } });
      const first = open("192.0.2.1");
      await once(first, "open");
      const second = open("192.0.2.1");
      const [error] = (await once(second, "error")) as [Error];
      assert.match(error.message, /429/);
      const other = open("192.0.2.2");
      await once(other, "open");
      assert.deepEqual(
        governor
          .connections()
          .map(({ client }) => client)
          .sort(),
        ["192.0.2.1", "192.0.2.2"],
      );
      first.terminate();
      await until(() => governor.size === 1);
      const again = open("192.0.2.1");
      await once(again, "open");
      for (const socket of [other, again]) socket.terminate();
      sockets.close();
      await closed(server);
    });

    test("are what the program makes of them", async (t) => {
      const server = createServer((socket) => socket.on("error", () => {}).write("in"));
      const governor = governServer(server, { perClient: 1, client: { key: () => "everybody" } });
      const port = await listening(t, server, host);
      const first = await connected(t, port, host);
      await once(first, "data");
      assert.equal(governor.connections()[0]?.client, "everybody");
      const second = await connected(t, port, host);
      await until(() => governor.snapshot().refused["per-client"] === 1);
      await closed(server, first, second);
    });
  });

test("figures go into the registry of the caller's, one label for each server", async (t) => {
  const registry = new Registry();
  const server = createServer((socket) => socket.on("error", () => {}));
  const governor = governServer(server, { total: 1 });
  const port = await listening(t, server, "127.0.0.1");
  const clients = [await connected(t, port, "127.0.0.1"), await connected(t, port, "127.0.0.1")];
  await until(() => governor.snapshot().refused.total === 1);
  const remove = await governorMetrics(governor, { registry, server: "a" });
  const idle = governServer(createServer(), {});
  await governorMetrics(idle, { registry, server: "b" });
  const text = await registry.metrics();
  assert.match(text, /^deadpeer_connections\{server="a"\} 1$/m);
  assert.match(text, /^deadpeer_connections\{server="b"\} 0$/m);
  assert.match(text, /^deadpeer_connections_accepted_total\{server="a"\} 1$/m);
  assert.match(text, /^deadpeer_connections_refused_total\{server="a",reason="total"\} 1$/m);
  remove();
  assert.doesNotMatch(await registry.metrics(), /server="a"/);
  await closed(server, ...clients);
});

test("a registry's label is one governor's, and what is in its way is named", async () => {
  const [one, other] = [governServer(createServer(), {}), governServer(createServer(), {})];
  const registry = new Registry();
  await Promise.all(
    [one, other].map((governor, n) => governorMetrics(governor, { registry, server: `${n}` })),
  );
  const shown = async (): Promise<number> =>
    (await registry.metrics()).split("\n").filter((line) => line.startsWith("deadpeer_connections{")).length;
  assert.equal(await shown(), 2);
  await assert.rejects(
    governorMetrics(other, { registry, server: "0" }),
    /another governor's figures .* "0"/,
  );
  one.close();
  await governorMetrics(other, { registry, server: "0" });
  registry.clear();
  await governorMetrics(other, { registry });
  assert.equal(await shown(), 1);
  const taken = new Registry();
  taken.registerMetric(new Gauge({ name: "deadpeer_server_draining", help: "another", registers: [] }));
  for (let n = 0; n < 2; n++)
    await assert.rejects(governorMetrics(one, { registry: taken }), {
      code: "bad-option",
      message: /a metric named deadpeer_server_draining already/,
    });
  assert.equal(taken.getMetricsAsArray().length, 1);
  for (const given of [undefined, {}, { registry: 5 }])
    await assert.rejects(governorMetrics(one, given as { registry: Registry }), { code: "bad-option" });
});

test("idle connections are shed when open files run short, and the program keeps some", async (t) => {
  const program = fileURLToPath(new URL("programs/few-files.js", import.meta.url));
  const child = spawn("sh", ["-c", 'ulimit -n 200; exec "$0" "$1"', process.execPath, program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const clients: Socket[] = [];
  try {
    const [line] = (await once(child.stdout, "data")) as [Buffer];
    const port = Number(String(line));
    for (let n = 0; n < 100; n++) clients.push(await connected(t, port, "127.0.0.1"));
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    for (let n = 0; n < 150; n++) {
      clients.push(await connected(t, port, "127.0.0.1"));
      await once(clients.at(-1) as Socket, "data");
    }
    const reported = once(child.stdout, "data");
    child.kill("SIGUSR2");
    const [report] = (await reported) as [Buffer];
    const { connections, evicted, refused, opened } = JSON.parse(String(report)) as {
      connections: number;
      evicted: Record<string, number>;
      refused: Record<string, number>;
      opened: boolean;
    };
    assert.ok((evicted["pressure"] ?? 0) >= 50, JSON.stringify(evicted));
    assert.equal(refused["pressure"], 0);
    assert.ok(connections < 200 && connections > 100, `${connections}`);
    assert.equal(opened, true);
  } finally {
    child.kill("SIGKILL");
    for (const client of clients) client.destroy();
  }
});
