import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, describe, test } from "node:test";
import { DeadpeerError } from "../../../src/errors.js";
import { parseFilter } from "../../../src/host/filter.js";
import { type HostWatch, type WatchOptions, watchHost } from "../../../src/host/watch/host-watch.js";
import type { Obituary } from "../../../src/host/watch/obituary.js";
import { sweepWatches } from "../../../src/host/watch/sweep.js";
import { newOwnedName } from "../../../src/kernel/owned-names.js";
import { writeSettings } from "../../../src/kernel/socket-options.js";
import { TraceInstance } from "../../../src/kernel/trace/trace-instance.js";
import { Tracefs } from "../../../src/kernel/trace/tracefs.js";
import { fdOf, needsRoot } from "../../kernel/support.js";
import { until } from "../../support/until.js";

const resources: Disposable[] = [];
afterEach(() => {
  for (const resource of resources.splice(0).toReversed()) resource[Symbol.dispose]();
});

/** A server of this process, with the connections that it has accepted. */
class Service implements Disposable {
  readonly accepted: Socket[] = [];
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    server.on("connection", (socket) => {
      socket.on("error", () => {});
      this.accepted.push(socket);
    });
    resources.push(this);
  }

  static async listen(host: string): Promise<Service> {
    // Half-open: each side ends its own.
    const server = createServer({ allowHalfOpen: true });
    server.listen(0, host);
    await once(server, "listening");
    return new Service(server);
  }

  get port(): number {
    const address = this.#server.address();
    assert.ok(address !== null && typeof address === "object");
    return address.port;
  }

  async connect(host: string): Promise<readonly [client: Socket, accepted: Socket]> {
    const before = this.accepted.length;
    const client = connect({ host, port: this.port, allowHalfOpen: true });
    client.on("error", () => {});
    await once(client, "connect");
    await until(() => this.accepted.length > before);
    return [client, this.accepted[before] as Socket];
  }

  [Symbol.dispose](): void {
    for (const socket of this.accepted) socket.destroy();
    this.#server.close();
  }
}

/** A watch, and what it has told so far. */
class Told implements Disposable {
  readonly obituaries: Obituary[] = [];
  readonly watch: HostWatch;
  readonly #abort = new AbortController();
  readonly #over: Promise<void>;

  constructor(ports: readonly number[], options: WatchOptions = {}) {
    const filter = parseFilter({ port: ports.map(String) });
    this.watch = watchHost({ filter, signal: this.#abort.signal, ...options });
    this.#over = this.#listen();
    resources.push(this);
  }

  async #listen(): Promise<void> {
    for await (const obituary of this.watch) this.obituaries.push(obituary);
  }

  /** That of the end with this local port. */
  async of(port: number | undefined): Promise<Obituary> {
    const find = (): Obituary | undefined => this.obituaries.find(({ local }) => local.port === port);
    await until(() => find() !== undefined);
    return find() as Obituary;
  }

  /** Everything, once nothing more is to come. */
  async all(): Promise<readonly Obituary[]> {
    this.#abort.abort();
    await this.#over;
    return this.obituaries;
  }

  [Symbol.dispose](): void {
    this.watch.close();
  }
}

async function ends(socket: Socket): Promise<void> {
  socket.resume();
  if (!socket.readableEnded) await once(socket, "end");
}

/** The client ends it, the server follows. */
async function closeInOrder([client, accepted]: readonly [Socket, Socket]): Promise<void> {
  const heard = ends(accepted);
  client.end();
  await heard;
  accepted.end();
  await ends(client);
}

const loopbacks = [
  ["IPv4", "127.0.0.1", "127.0.0.1", 4],
  ["IPv6", "::1", "::1", 6],
  ["IPv4 to a socket of IPv6", "::", "127.0.0.1", 4],
] as const;

function refused(filter: ReturnType<typeof parseFilter>, code: string): void {
  assert.throws(
    () => watchHost({ filter }),
    (error) => error instanceof DeadpeerError && error.code === code,
  );
}

describe("watchHost, from the kernel's events", { skip: needsRoot }, () => {
  for (const [name, listening, host, family] of loopbacks)
    test(`an orderly end is two deaths, and none more: ${name}`, async () => {
      const service = await Service.listen(listening);
      const told = new Told([service.port]);
      const pair = await service.connect(host);
      const port = pair[0].localPort;
      pair[0].write("five!");
      await once(pair[1].resume(), "data");
      await closeInOrder(pair);
      const client = await told.of(port);
      const server = await told.of(service.port);
      assert.equal((await told.all()).length, 2);

      assert.deepEqual(Object.keys(client).slice(0, 5), ["at", "netns", "local", "remote", "state"]);
      assert.equal(client.state, "FIN_WAIT2");
      assert.equal(client.verdict.state, "local");
      assert.equal(client.verdict.detectedAfterMs, null);
      assert.equal(server.state, "LAST_ACK");
      assert.equal(server.verdict.state, "closed");
      assert.equal(server.verdict.certainty, "certain");
      assert.deepEqual([client.direction, server.direction], ["outgoing", "incoming"]);
      assert.deepEqual(client.remote, { address: host, port: service.port });
      assert.deepEqual(server.local, { address: host, port: service.port });
      assert.deepEqual(
        [client.bytes, server.bytes],
        [
          { sent: 5, received: 0 },
          { sent: 0, received: 5 },
        ],
      );
      for (const one of [client, server]) {
        assert.equal(one.family, family);
        assert.deepEqual(
          one.processes.map(({ pid }) => pid),
          [process.pid],
        );
        assert.ok(one.lifetimeMs !== null && one.lifetimeMs < 60_000 && !one.lifetimeAtLeast);
        assert.ok(Math.abs(Date.parse(one.at) - Date.now()) < 60_000);
        assert.equal(one.source, "trace");
      }
      const { lostEvents, source } = told.watch.sight;
      assert.deepEqual([lostEvents, source], [0, "trace"]);
    });

  test("a reset: who sent it closed it, the other one was told", async () => {
    const service = await Service.listen("127.0.0.1");
    const told = new Told([service.port]);
    const [client, accepted] = await service.connect("127.0.0.1");
    const port = client.localPort;
    accepted.resetAndDestroy();
    const sender = await told.of(service.port);
    const receiver = await told.of(port);
    assert.deepEqual([sender.verdict.state, sender.verdict.errno], ["local", null]);
    assert.deepEqual([receiver.verdict.state, receiver.verdict.errno], ["reset", "ECONNRESET"]);
    assert.equal(receiver.verdict.certainty, "certain");
    assert.equal((await told.all()).length, 2);
  });

  test("a refused connect is told, and so is one that was given up; a listener's end is not", async () => {
    const service = await Service.listen("127.0.0.1");
    const { port } = service;
    const told = new Told([port]);
    service[Symbol.dispose]();
    const client = connect({ host: "127.0.0.1", port });
    await once(client, "error");
    await until(() => told.obituaries.length > 0);
    const all = await told.all();
    assert.equal(all.length, 1);
    const { state, verdict, direction, remote, processes } = all[0] as Obituary;
    assert.deepEqual([state, verdict.state, verdict.errno], ["SYN_SENT", "reset", "ECONNREFUSED"]);
    assert.deepEqual([verdict.regime, verdict.certainty, direction], ["connecting", "certain", "outgoing"]);
    assert.equal(remote.port, port);
    assert.equal(processes[0]?.pid, process.pid);
  });

  test("a connection that was there before: its settings and its process are known, its age at least", async () => {
    const service = await Service.listen("127.0.0.1");
    const pair = await service.connect("127.0.0.1");
    const port = pair[0].localPort;
    const keepalive = { enabled: true, idleMs: 60_000, intervalMs: 10_000, count: 3 };
    writeSettings(fdOf(pair[0]), { keepalive, userTimeoutMs: 90_000 });
    const told = new Told([service.port]);
    assert.ok(told.watch.sight.connections >= 2);
    await closeInOrder(pair);
    const client = await told.of(port);
    assert.equal(client.direction, null);
    assert.equal(client.lifetimeAtLeast, true);
    assert.equal(client.settingsKnown, true);
    assert.deepEqual(client.keepalive, keepalive);
    assert.equal(client.userTimeoutMs, 90_000);
    assert.deepEqual(
      client.processes.map(({ pid, fd }) => [pid, fd !== null]),
      [[process.pid, true]],
    );
    assert.equal((await told.of(service.port)).verdict.state, "closed");
  });

  test("a process that has ended is known by its name; that it ended is told", async () => {
    const service = await Service.listen("127.0.0.1");
    const told = new Told([service.port]);
    const script = `import socket, sys; s = socket.create_connection(("127.0.0.1", ${service.port})); sys.stdin.read(1)`;
    const child = spawn("python3", ["-c", script], { stdio: ["pipe", "ignore", "inherit"] });
    await until(() => service.accepted.length > 0);
    const port = service.accepted[0]?.remotePort;
    child.kill("SIGKILL");
    await once(child, "exit");
    const { processes, verdict } = await told.of(port);
    assert.deepEqual(
      processes.map(({ pid, name }) => [pid, name]),
      [[child.pid, "python3"]],
    );
    assert.equal(verdict.state, "local");
    assert.match(verdict.sentence, /^Our own program ended/);
  });

  test("a process that lives for a moment only is known as well", async () => {
    const service = await Service.listen("127.0.0.1");
    const told = new Told([service.port]);
    const script = `import socket; socket.create_connection(("127.0.0.1", ${service.port})).close()`;
    const { status, pid } = spawnSync("python3", ["-c", script]);
    assert.equal(status, 0);
    await until(() => service.accepted.length > 0);
    const { processes } = await told.of(service.accepted[0]?.remotePort);
    assert.equal(processes[0]?.pid, pid);
  });

  test("whoever ends a connection in the kernel is named", async (t) => {
    const service = await Service.listen("127.0.0.1");
    const told = new Told([service.port]);
    const [client] = await service.connect("127.0.0.1");
    const port = client.localPort;
    const killed = spawnSync("ss", ["-K", "sport", "=", `:${port}`, "dport", "=", `:${service.port}`], {
      encoding: "utf8",
    });
    if (killed.status !== 0) {
      t.skip(`ss cannot: ${killed.stderr}`);
      return;
    }
    const { verdict } = await told.of(port);
    assert.deepEqual([verdict.state, verdict.errno], ["local", "ECONNABORTED"]);
    assert.match(verdict.sentence, /^ss \(process \d+\) ended the connection in the kernel/);
    assert.equal((await told.of(service.port)).verdict.state, "reset");
  });

  test("two watches do not disturb each other, and either ends by itself", async () => {
    const service = await Service.listen("127.0.0.1");
    const both = [new Told([service.port]), new Told([service.port])];
    const first = await service.connect("127.0.0.1");
    await closeInOrder(first);
    for (const told of both) await told.of(service.port);
    both[0]?.watch.close();
    const second = await service.connect("127.0.0.1");
    const port = second[0].localPort;
    await closeInOrder(second);
    await both[1]?.of(port);
    assert.equal((await (both[1] as Told).all()).length, 4);
  });

  test("only the verdicts, states, ends and processes that were asked for", async () => {
    const service = await Service.listen("127.0.0.1");
    const watches = {
      reset: new Told([service.port], { only: ["reset"] }),
      lastAck: new Told([], { filter: parseFilter({ port: [String(service.port)], state: ["last-ack"] }) }),
      elsewhere: new Told([], {
        filter: parseFilter({ port: [String(service.port)], remote: ["10.0.0.0/8"] }),
      }),
      nobody: new Told([], {
        filter: parseFilter({ port: [String(service.port)], process: ["no-such-name"] }),
      }),
      here: new Told([], {
        filter: parseFilter({
          port: [String(service.port)],
          netns: ["/proc/self/ns/net"],
          pid: [String(process.pid)],
        }),
      }),
    };
    const all = new Told([service.port]);
    await closeInOrder(await service.connect("127.0.0.1"));
    await until(() => all.obituaries.length === 2);
    const states = Object.fromEntries(
      await Promise.all(
        Object.entries(watches).map(async ([name, told]) => [
          name,
          (await told.all()).map(({ state }) => state).sort(),
        ]),
      ),
    ) as Record<string, string[]>;
    assert.deepEqual(states, {
      reset: [],
      lastAck: ["LAST_ACK"],
      elsewhere: [],
      nobody: [],
      here: ["FIN_WAIT2", "LAST_ACK"],
    });
  });

  test("what cannot match is refused", () => {
    refused(parseFilter({ state: ["listen"] }), "bad-filter");
    refused(parseFilter({ pid: ["4194303"] }), "bad-filter");
    refused(parseFilter({ netns: ["/no/such/namespace"] }), "no-namespace");
  });

  test("a signal that has fired already ends it at once", async () => {
    const filter = parseFilter({ remote: ["192.0.2.1"] });
    for await (const _ of watchHost({ filter, signal: AbortSignal.abort() })) assert.fail("nothing died");
  });

  test("events that are lost are counted, and what died meanwhile is told from the lists", async () => {
    const service = await Service.listen("127.0.0.1");
    const kept = await service.connect("127.0.0.1");
    const port = kept[0].localPort;
    // The least that the kernel gives, and nobody reads while this process waits for others to fill it.
    const told = new Told([service.port], { kibPerCpu: 4 });
    for (const socket of kept) socket.destroy();
    const flood = `import os, socket
for cpu in os.sched_getaffinity(0):
    os.sched_setaffinity(0, {cpu})
    for _ in range(1000):
        with socket.socket() as s: s.connect_ex(("127.0.0.1", 1))`;
    assert.equal(spawnSync("python3", ["-c", flood]).status, 0);
    await until(() => told.watch.sight.lostEvents > 0);
    const { source, verdict } = await told.of(port);
    assert.deepEqual([source, verdict.certainty], ["list", "likely"]);
    assert.equal((await told.of(service.port)).source, "list");
  });
});

describe("trace instances that were left behind", { skip: needsRoot }, () => {
  test("go at the next start, those of the living stay", async () => {
    const src = new URL("../../../src/", import.meta.url).href;
    const program = `
      import { watchHost } from "${src}host/watch/host-watch.js";
      const watch = watchHost();
      console.log("watching");
      setInterval(() => watch.sight, 1_000);`;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", program], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(child.stdout, "data");
    using tracefs = Tracefs.open();
    const own = TraceInstance.make(tracefs, newOwnedName("watch"), 64);
    try {
      const left = (): string[] =>
        tracefs.instances().filter((name) => name.startsWith(`dp-watch-${child.pid}-`));
      assert.equal(left().length, 1);
      child.kill("SIGKILL");
      await once(child, "exit");
      assert.equal(left().length, 1);
      const swept = sweepWatches();
      assert.ok(swept.some((name) => name.startsWith(`dp-watch-${child.pid}-`)));
      assert.deepEqual(left(), []);
      assert.ok(tracefs.instances().some((name) => name.startsWith(`dp-watch-${process.pid}-`)));
    } finally {
      own.close();
    }
    assert.ok(!tracefs.instances().some((name) => name.startsWith(`dp-watch-${process.pid}-`)));
  });
});
