import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { getEventListeners, once } from "node:events";
import { Agent, createServer as createHttpServer, get, type IncomingMessage } from "node:http";
import { connect as connectHttp2, createServer as createHttp2Server } from "node:http2";
import { connect, createServer, type AddressInfo, type Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import { Duplex, PassThrough, pipeline } from "node:stream";
import { describe, test } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import { DeadpeerError } from "../../src/errors.js";
import { figuresOf } from "../../src/guard/gather.js";
import { type Guard, guard } from "../../src/guard/guard.js";
import { baseFd } from "../../src/guard/inner-socket.js";
import { readSettings } from "../../src/kernel/socket-options.js";
import { planDetection } from "../../src/plan/planner.js";
import type { Settings } from "../../src/plan/settings.js";
import type { Verdict } from "../../src/verdict/verdict.js";
import { fdOf, loopbackConnection, needsRoot, runModule } from "../kernel/support.js";
import { reset } from "../support/reset.js";
import { tlsConnect, tlsServer } from "../support/tls.js";
import { until } from "../support/until.js";

const settings: Settings = {
  keepalive: { idleMs: 20_000, intervalMs: 5_000, count: 3 },
  userTimeoutMs: 35_000,
};
const held = { ...settings.keepalive, enabled: true };

async function verdictOf(guarded: Guard): Promise<Verdict> {
  return ((await once(guarded, "verdict")) as [Verdict])[0];
}

function throwsCode(work: () => unknown, code: string): void {
  assert.throws(work, (error) => error instanceof DeadpeerError && error.code === code);
}

/** How many listeners a socket has, for each event. */
function listeners(socket: Socket): Record<string, number> {
  return Object.fromEntries(socket.eventNames().map((name) => [String(name), socket.listenerCount(name)]));
}

function activeTimers(): number {
  return process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
}

async function listening<T extends Server>(server: T): Promise<T & { readonly port: number }> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return Object.assign(server, { port: (server.address() as AddressInfo).port });
}

describe("what can be guarded", () => {
  test("a connected socket: the kernel holds the settings, from a plan, from what to plan for, or given", async () => {
    await using connection = await loopbackConnection();
    const plan = planDetection({ detectWithin: "35s", path: ["aws-nlb"] });
    for (const [wanted, expected] of [
      [plan, plan.settings],
      [{ detectWithin: "1m" }, planDetection({ detectWithin: "1m" }).settings],
      [settings, settings],
    ] as const) {
      const guarded = guard(connection.client, wanted);
      const kernel = readSettings(connection.clientFd);
      assert.deepEqual(kernel.keepalive, { enabled: true, ...expected.keepalive });
      assert.equal(kernel.userTimeoutMs, expected.userTimeoutMs);
      assert.deepEqual(guarded.applied, { by: "kernel", settings: expected, missing: [], problem: null });
    }
  });

  test("settings without keepalive switch it off", async () => {
    await using connection = await loopbackConnection();
    connection.client.setKeepAlive(true, 9_000);
    guard(connection.client, { keepalive: null, userTimeoutMs: 0 });
    assert.equal(readSettings(connection.clientFd).keepalive.enabled, false);
  });

  test("a socket that is not connected: by address, by name, or later", async () => {
    await using connection = await loopbackConnection();
    const { remotePort: port = 0 } = connection.client;
    for (const host of ["127.0.0.1", "localhost", null]) {
      const socket = host === null ? new Socket() : connect({ port, host });
      const guarded = guard(socket, settings);
      assert.equal(guarded.snapshot()?.regime, "connecting");
      if (host === null) socket.connect({ port, host: "127.0.0.1" });
      await once(socket, "connect");
      assert.deepEqual(readSettings(fdOf(socket)).keepalive, held);
      assert.equal(guarded.applied?.by, "kernel");
      socket.destroy();
    }
  });

  test("settings are on while a connect still waits for its answer", async () => {
    // A full accept queue: the kernel drops further SYNs.
    const server = createServer();
    server.listen({ port: 0, host: "127.0.0.1", backlog: 1 });
    await once(server, "listening");
    const socket = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1" });
    guard(socket, settings);
    await new Promise<void>((resolve) => {
      socket.on("connectionAttempt", () => process.nextTick(resolve));
    });
    assert.equal(readSettings(fdOf(socket)).userTimeoutMs, settings.userTimeoutMs);
    socket.destroy();
    server.close();
  });

  test("TLS, directly and over a socket", async () => {
    const server = await listening(tlsServer());
    const address = { port: server.port, host: "127.0.0.1" };
    for (const options of [() => address, () => ({ socket: connect(address) })]) {
      const socket = tlsConnect(options());
      const guarded = guard(socket, settings);
      await once(socket, "secureConnect");
      assert.deepEqual(guarded.snapshot()?.settings.keepalive, settings.keepalive);
      const verdict = verdictOf(guarded);
      socket.destroy();
      assert.equal((await verdict).state, "local");
    }
    server.close();
  });

  test("TLS over a stream that stands on a socket", async () => {
    const server = await listening(tlsServer());
    const below = connect({ port: server.port, host: "127.0.0.1" });
    const between = Object.assign(Duplex.from({ readable: below, writable: below }), { socket: below });
    const above = tlsConnect({ socket: between });
    above.on("error", () => {});
    const guarded = guard(above, settings);
    await once(above, "secureConnect");
    assert.deepEqual(readSettings(fdOf(below)).keepalive, held);
    const verdict = verdictOf(guarded);
    below.destroy();
    assert.equal((await verdict).state, "local");
    server.close();
  });

  test("HTTP requests and their answers, HTTP/2 sessions and their streams, and things with a _socket", async () => {
    const server = await listening(createHttpServer((_, answer) => answer.end()));
    const agent = new Agent({ keepAlive: true });
    const request = get({ port: server.port, host: "127.0.0.1", agent });
    const [answer] = (await once(request, "response")) as [IncomingMessage];
    const ofAnswer = guard(answer, settings);
    assert.equal(guard({ _socket: answer.socket }, settings), ofAnswer);
    assert.equal(guard(request, settings), ofAnswer);
    assert.deepEqual(readSettings(fdOf(answer.socket)).keepalive, held);
    agent.destroy();
    server.close();

    const server2 = createHttp2Server();
    await listening(server2 as unknown as Server);
    const session = connectHttp2(`http://127.0.0.1:${(server2.address() as AddressInfo).port}`);
    await once(session, "connect");
    const ofSession = guard(session, settings);
    const stream = session.request();
    stream.on("error", () => {});
    assert.equal(guard(stream, settings), ofSession);
    assert.deepEqual(ofSession.snapshot()?.settings.keepalive, settings.keepalive);
    const verdict = verdictOf(ofSession);
    session.destroy();
    assert.equal((await verdict).state, "local");
    server2.close();
  });

  test("WebSockets of ws, on both sides", async () => {
    const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
    await once(server, "listening");
    const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
    // Before the connection there is no socket to be had.
    throwsCode(() => guard(client, settings), "no-socket");
    const [[accepted]] = (await Promise.all([once(server, "connection"), once(client, "open")])) as [
      [WebSocket],
      unknown,
    ];
    const ours = guard(client, settings);
    const theirs = guard(accepted, settings);
    assert.deepEqual(ours.snapshot()?.settings.keepalive, settings.keepalive);
    const verdicts = Promise.all([verdictOf(ours), verdictOf(theirs)]);
    client.terminate();
    assert.deepEqual(
      (await verdicts).map(({ state }) => state),
      ["local", "closed"],
    );
    server.close();
  });

  test("nothing else: no socket, a closed one, a Unix socket, a server", async () => {
    const path = `${tmpdir()}/deadpeer-test-${process.pid}.sock`;
    const server = createServer().listen(path);
    await once(server, "listening");
    const unix = connect(path);
    throwsCode(() => guard(unix, settings), "no-socket");
    await once(unix, "connect");
    throwsCode(() => guard(unix, settings), "no-socket");
    assert.equal(unix.destroyed, false);
    unix.destroy();
    throwsCode(() => guard(unix, settings), "no-socket");
    for (const thing of [server, new PassThrough(), {}, null, undefined, 3, "socket", { socket: null }])
      throwsCode(() => guard(thing, settings), "no-socket");
    const circular: { socket?: unknown } = {};
    circular.socket = circular;
    throwsCode(() => guard(circular, settings), "no-socket");
    server.close();
  });
});

describe("a refusal is loud", () => {
  const impossible: Settings = {
    keepalive: { idleMs: 1_500, intervalMs: 1_000, count: 3 },
    userTimeoutMs: 0,
  };

  test("at once for a connected socket, which stays as it was", async () => {
    await using connection = await loopbackConnection();
    const before = [listeners(connection.client), readSettings(connection.clientFd)];
    throwsCode(() => guard(connection.client, impossible), "value-refused");
    throwsCode(() => guard(connection.client, {} as Settings), "bad-option");
    assert.deepEqual([listeners(connection.client), readSettings(connection.clientFd)], before);
  });

  test("at once for settings with something missing, which would guard nothing", async () => {
    await using connection = await loopbackConnection();
    for (const incomplete of [
      { settings: undefined },
      { settings: null },
      { settings: {} },
      { keepalive: undefined, userTimeoutMs: 0 },
      { keepalive: {}, userTimeoutMs: 0 },
      { keepalive: true, userTimeoutMs: 0 },
      { keepalive: null, userTimeoutMs: "35s" },
      { ...settings, rtoMaxMs: null },
    ])
      for (const socket of [connection.client, new Socket()])
        throwsCode(() => guard(socket, incomplete as unknown as Settings), "bad-option");
  });

  test("a guarded socket keeps what it had when a change is refused", async () => {
    await using connection = await loopbackConnection();
    const guarded = guard(connection.client, settings);
    throwsCode(() => guard(connection.client, impossible), "value-refused");
    assert.deepEqual(guarded.applied?.settings, settings);
    assert.ok(guarded.active);
  });

  test("by an 'error' of the guard for a socket that connects later; the socket lives on", async () => {
    await using connection = await loopbackConnection();
    const socket = connect({ port: connection.client.remotePort ?? 0, host: "127.0.0.1" });
    const guarded = guard(socket, impossible);
    const [error] = (await once(guarded, "error")) as [DeadpeerError];
    assert.equal(error.code, "value-refused");
    await once(socket, "connect");
    socket.destroy();
  });
});

describe("a guard lets the socket be", () => {
  test("listeners and _destroy are as before, after close, dispose, abort and the socket's own end", async () => {
    const ends: ((guarded: Guard, socket: Socket, abort: AbortController) => unknown)[] = [
      (guarded) => guarded.close(),
      (guarded) => guarded[Symbol.dispose](),
      (_guarded, _socket, abort) => abort.abort(),
      (guarded, socket) => {
        socket.destroy();
        return once(guarded, "verdict");
      },
    ];
    for (const end of ends) {
      await using connection = await loopbackConnection();
      const socket = connection.client;
      const before = [listeners(socket), Object.hasOwn(socket, "_destroy")];
      const abort = new AbortController();
      const guarded = guard(socket, settings, { signal: abort.signal });
      await end(guarded, socket, abort);
      assert.deepEqual([listeners(socket), Object.hasOwn(socket, "_destroy")], before);
      assert.equal(guarded.active, false);
      assert.equal(guarded.snapshot(), null);
    }
  });

  test("a closed guard gives no verdict, and the socket can be guarded again", async () => {
    await using connection = await loopbackConnection();
    const first = guard(connection.client, settings);
    first.on("verdict", () => assert.fail("the guard was closed"));
    first.close();
    const second = guard(connection.client, settings);
    assert.notEqual(second, first);
    const verdict = verdictOf(second);
    connection.client.destroy();
    assert.equal((await verdict).state, "local");
  });

  test("another layer's _destroy, above or below, keeps working", async () => {
    await using connection = await loopbackConnection();
    const socket = connection.client;
    const calls: string[] = [];
    const layer = (name: string): void => {
      const inner = socket._destroy.bind(socket);
      socket._destroy = (error, done) => {
        calls.push(name);
        inner(error, done);
      };
    };
    layer("below");
    const guarded = guard(socket, settings);
    layer("above");
    guarded.close();
    const again = guard(socket, settings);
    const verdict = verdictOf(again);
    socket.destroy();
    await verdict;
    assert.deepEqual(calls, ["above", "below"]);
  });

  test("ten thousand guards on one socket leave nothing behind", async () => {
    await using connection = await loopbackConnection();
    const before = listeners(connection.client);
    const { signal } = new AbortController();
    for (let n = 0; n < 10_000; n++) guard(connection.client, settings, { signal }).close();
    assert.deepEqual(listeners(connection.client), before);
    const guards = new Set<Guard>();
    for (let n = 0; n < 10_000; n++) guards.add(guard(connection.client, settings));
    assert.equal(guards.size, 1);
    assert.equal(connection.client.listenerCount("end"), (before["end"] ?? 0) + 1);
  });

  test("an unhandled 'error' stays unhandled, after the verdict", () => {
    const { status, stdout, stderr } = runModule(`
      const { guard } = await import(src + "guard/guard.js");
      const { connect } = await import("node:net");
      guard(connect({ port: 1, host: "127.0.0.1" }), ${JSON.stringify(settings)})
        .on("verdict", (v) => console.log(v.state));`);
    assert.equal(stdout, "reset\n");
    assert.match(stderr, /Unhandled 'error' event[^]*ECONNREFUSED/);
    assert.notEqual(status, 0);
  });

  test("no timer, and nothing that keeps the process alive or makes data flow", async () => {
    await using connection = await loopbackConnection();
    const before = activeTimers();
    const socket = connection.client;
    guard(socket, settings);
    assert.equal(activeTimers(), before);
    assert.equal(socket.readableFlowing, null);
    assert.equal(
      socket.listenerCount("data") + socket.listenerCount("readable") + socket.listenerCount("error"),
      0,
    );
  });

  test("one signal ends any number of guards, without a listener for each", async () => {
    const abort = new AbortController();
    const { signal } = abort;
    const guards = Array.from({ length: 50 }, () => guard(new Socket(), settings, { signal }));
    assert.equal(getEventListeners(signal, "abort").length, 1);
    guards.pop()?.close();
    abort.abort();
    assert.ok(guards.every(({ active }) => !active));
    assert.equal(getEventListeners(signal, "abort").length, 0);
  });

  test("a signal given to a second guard() ends the guard as well", () => {
    const [first, second] = [new AbortController(), new AbortController()];
    const socket = new Socket();
    const guarded = guard(socket, settings, { signal: first.signal });
    assert.equal(guard(socket, settings, { signal: second.signal }), guarded);
    second.abort();
    assert.equal(guarded.active, false);
    assert.equal(getEventListeners(first.signal, "abort").length, 0);
  });

  test("an aborted signal is refused", async () => {
    await using connection = await loopbackConnection();
    throwsCode(() => guard(connection.client, settings, { signal: AbortSignal.abort() }), "aborted");
  });
});

describe("a snapshot", () => {
  test("tells the regime, the silence and the time to detect, read from the kernel", async () => {
    await using connection = await loopbackConnection();
    const guarded = guard(connection.client, settings);
    const idle = guarded.snapshot();
    assert.equal(idle?.state, "ESTABLISHED");
    assert.equal(idle.regime, "idle");
    assert.equal(idle.detection.nowMs, 35_000);
    assert.ok((idle.lastHeardMs ?? -1) >= 0);
    // Somebody else, such as an HTTP agent, sets its own.
    connection.client.setKeepAlive(true, 60_000);
    assert.equal(guarded.snapshot()?.settings.keepalive?.idleMs, 60_000);
  });
});

describe("whose doing it was", () => {
  test("our own: destroyed, with an error of ours, or ended first", async () => {
    for (const end of [
      (socket: Socket) => socket.destroy(),
      (socket: Socket) => socket.destroy(new TypeError("ours")),
      (socket: Socket) => socket.end(),
      (socket: Socket) => socket.resetAndDestroy(),
    ]) {
      await using connection = await loopbackConnection();
      connection.client.on("error", () => {}).resume();
      connection.accepted.on("error", () => {}).resume();
      const verdict = verdictOf(guard(connection.client, settings));
      end(connection.client);
      const { state, certainty, errno, detectedAfterMs } = await verdict;
      assert.deepEqual(
        { state, certainty, errno, detectedAfterMs },
        {
          state: "local",
          certainty: "certain",
          errno: null,
          detectedAfterMs: null,
        },
      );
    }
  });

  test("the peer's, if it reset right after what it said, and both are read together", async () => {
    for (const end of [reset, (peer: Socket) => peer.end()]) {
      await using connection = await loopbackConnection();
      const { client, accepted } = connection;
      client.on("error", () => {}).pause();
      const verdict = verdictOf(guard(client, settings));
      await new Promise((resolve) => accepted.write("last words", resolve));
      end(accepted);
      const states = end === reset ? ["CLOSE"] : ["CLOSE_WAIT", "LAST_ACK"];
      await until(() => states.includes(figuresOf(baseFd(client))?.state ?? ""));
      const said = once(client, "data") as Promise<[Buffer]>;
      client.resume();
      assert.equal((await said)[0].toString(), "last words");
      const { state, certainty } = await verdict;
      assert.deepEqual([state, certainty], [end === reset ? "reset" : "closed", "certain"]);
    }
  });

  test("not the peer's, if a pipeline destroys the socket with another one's error", async () => {
    await using connection = await loopbackConnection();
    const source = new PassThrough();
    const guarded = guard(connection.client, settings);
    const verdict = verdictOf(guarded);
    pipeline(source, connection.client, () => {});
    const foreign = Object.assign(new Error("read ECONNRESET"), {
      code: "ECONNRESET",
      errno: -104,
      syscall: "read",
    });
    source.destroy(foreign);
    const { state, sentence } = await verdict;
    assert.equal(state, "local");
    assert.match(sentence, /because of ECONNRESET/);
  });

  test("the peer's: ended, also with our own end() in an 'end' listener, or reset", async () => {
    for (const [end, expected] of [
      [(peer: Socket) => peer.end(), "closed"],
      [(peer: Socket) => peer.resetAndDestroy(), "reset"],
    ] as const) {
      await using connection = await loopbackConnection();
      const { client } = connection;
      client.on("error", () => {}).resume();
      client.on("end", () => client.end());
      const verdict = verdictOf(guard(client, settings));
      end(connection.accepted);
      assert.equal((await verdict).state, expected);
    }
  });

  test("a half-closed connection: whoever ended first", async () => {
    const server = await listening(createServer({ allowHalfOpen: true }));
    const client = connect({ port: server.port, host: "127.0.0.1", allowHalfOpen: true });
    const [[peer]] = (await Promise.all([once(server, "connection"), once(client, "connect")])) as [
      [Socket],
      unknown,
    ];
    const ours = verdictOf(guard(client, settings));
    const theirs = verdictOf(guard(peer, settings));
    peer.resume();
    client.resume();
    client.end();
    await once(peer, "end");
    peer.end("a last word");
    assert.equal((await ours).state, "local");
    assert.equal((await theirs).state, "closed");
    server.close();
  });

  test("nobody's: a name without an address", async () => {
    const socket = connect({ port: 1, host: "no-such-host.invalid" });
    socket.on("error", () => {});
    const { state, errno, certainty } = await verdictOf(guard(socket, settings));
    assert.equal(state, "local");
    assert.match(errno ?? "", /ENOTFOUND|EAI_AGAIN/);
    assert.equal(certainty, "likely");
  });

  test("somebody's on this host: ss -K", { skip: needsRoot }, async () => {
    await using connection = await loopbackConnection();
    connection.client.on("error", () => {});
    connection.accepted.on("error", () => {});
    const verdict = verdictOf(guard(connection.client, settings));
    spawnSync("ss", ["-K", "src", "127.0.0.1", "sport", "=", String(connection.port)]);
    const { state, errno, certainty } = await verdict;
    assert.deepEqual(
      { state, errno, certainty },
      { state: "local", errno: "ECONNABORTED", certainty: "likely" },
    );
  });

  test("this machine's own sleep is told, and the peer is not blamed", async () => {
    await using connection = await loopbackConnection();
    connection.client.on("error", () => {}).resume();
    let wallMs = 1_700_000_000_000;
    const clock = { now: () => wallMs, monotonic: () => 5_000 };
    const verdict = verdictOf(guard(connection.client, settings, { clock }));
    wallMs += 3_600_000;
    connection.accepted.resetAndDestroy();
    const { at, state, certainty, selfPausedMs } = await verdict;
    assert.deepEqual(
      { at, state, certainty, selfPausedMs },
      { at: 1_700_003_600_000, state: "reset", certainty: "likely", selfPausedMs: 3_600_000 },
    );
  });

  test("the verdict comes before 'error' and 'close', and stays readable", async () => {
    await using connection = await loopbackConnection();
    const order: string[] = [];
    const { client } = connection;
    client.resume();
    client.on("error", () => order.push("error")).on("close", () => order.push("close"));
    const guarded = guard(client, settings);
    guarded.on("verdict", () => order.push("verdict"));
    connection.accepted.resetAndDestroy();
    await once(client, "close").catch(() => {});
    assert.deepEqual(order.slice(0, 2), ["verdict", "error"]);
    assert.equal(guarded.verdict?.state, "reset");
  });
});

describe("without the foreign-function interface", () => {
  test("Node's own keepalive is set, and what could not be is said", async () => {
    const { stdout, stderr } = runModule(`
      import { createRequire, Module } from "node:module";
      const load = Module._load;
      Module._load = (name, ...rest) => {
        if (name === "koffi") throw new Error("not installed");
        return load(name, ...rest);
      };
      const { guard } = await import(src + "guard/guard.js");
      const { guardListener } = await import(src + "guard/listener.js");
      const { connect, createServer } = await import("node:net");
      const server = createServer((socket) => socket.end()).listen(0, "127.0.0.1", () => {
        const listener = guardListener(server, ${JSON.stringify(settings)});
        const socket = connect(server.address().port, "127.0.0.1").resume();
        const guarded = guard(socket, ${JSON.stringify(settings)});
        guarded.on("verdict", (verdict) => {
          const { by, missing, problem } = guarded.applied;
          const each = listener.applied.by;
          console.log(JSON.stringify({ by, missing, problem: problem.code, each, verdict: verdict.state }));
          server.close();
        });
      });`);
    assert.equal(stderr, "");
    const { missing, ...rest } = JSON.parse(stdout) as Record<string, unknown>;
    assert.deepEqual(rest, { by: "node", problem: "ffi-unavailable", each: "node", verdict: "closed" });
    assert.ok((missing as string[]).includes("userTimeoutMs"));
  });
});
