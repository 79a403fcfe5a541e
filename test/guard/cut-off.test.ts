import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, get } from "node:http";
import { connect, createServer, type Server, type Socket } from "node:net";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { after, before, describe, test } from "node:test";
import { guard } from "../../src/guard/guard.js";
import { detectionTimes } from "../../src/plan/model.js";
import { planDetection } from "../../src/plan/planner.js";
import type { Settings } from "../../src/plan/settings.js";
import type { Verdict } from "../../src/verdict/verdict.js";
import { type Family, Hosts, needsNamespaces } from "../support/namespaces.js";
import { startProgram } from "../support/programs.js";
import { tlsConnect, tlsServer } from "../support/tls.js";

const keepalive = { idleMs: 1_000, intervalMs: 1_000, count: 3 };
const plain: Settings = { keepalive, userTimeoutMs: 0 };
const limited: Settings = { keepalive, userTimeoutMs: 4_000 };
const planned = planDetection({ detectWithin: "5s" }).settings;
const families: readonly Family[] = [4, 6];

describe("a guarded connection through a router", {
  skip: needsNamespaces,
  concurrency: true,
  timeout: 60_000,
}, () => {
  let hosts: Hosts;
  const servers: Server[] = [];
  const accepted: Socket[] = [];
  let nextPort = 7_000;
  const ownDelay = monitorEventLoopDelay({ resolution: 10 });

  before(() => {
    hosts = new Hosts();
    hosts.enter("near");
    ownDelay.enable();
  });

  after(() => {
    ownDelay.disable();
    for (const server of servers) server.close();
    for (const socket of accepted) socket.destroy();
    hosts[Symbol.dispose]();
  });

  function serve(server: Server = createServer({ pauseOnConnect: true })): number {
    const port = nextPort++;
    hosts.in("far", () => server.listen(port));
    servers.push(server);
    server.on("connection", (socket: Socket) => {
      // The far side is not what is tested, and dies in its own ways.
      socket.on("error", () => {});
      accepted.push(socket);
    });
    return port;
  }

  /** A connection to a server that accepts and does nothing. */
  async function connection(family: Family): Promise<{ near: Socket; far: Socket; port: number }> {
    const server = createServer({ pauseOnConnect: true });
    const port = serve(server);
    const near = connect({ host: hosts.address("far", family), port });
    const [[far]] = (await Promise.all([once(server, "connection"), once(near, "connect")])) as [
      [Socket],
      unknown,
    ];
    return { near, far, port };
  }

  /** Detection within 200 ms of the plan, besides the time in which this process was not given the processor. */
  function assertOnTime(verdict: Verdict, settings: Settings): void {
    const plannedMs = detectionTimes(settings).idleMs;
    // A probe that goes out late may find the user timeout over at an earlier tick than the plan's, but never before its time.
    const earliestMs = settings.userTimeoutMs > 0 ? settings.userTimeoutMs : plannedMs;
    const tookMs = verdict.detectedAfterMs ?? Number.NaN;
    const allowedMs = 200 + ownDelay.max / 1e6;
    assert.ok(plannedMs !== null && earliestMs !== null);
    // The kernel's clock for "last heard" ticks in jiffies, 10 ms at most.
    assert.ok(tookMs >= earliestMs - 20, `${tookMs} ms is before the planned ${earliestMs} ms`);
    assert.ok(tookMs <= plannedMs + allowedMs, `${tookMs} ms is long after the planned ${plannedMs} ms`);
  }

  for (const family of families) {
    const over = `over IPv${family}`;

    for (const [kind, settings] of Object.entries({ plain, limited, planned }))
      test(`idle and cut off ${over}, ${kind} settings: silent, by keepalive, on time`, async () => {
        const { near, port } = await connection(family);
        const verdict = await verdictOf(near, settings, () => hosts.cut(port));
        assertVerdict(verdict, {
          state: "silent",
          timer: "keepalive",
          regime: "idle",
          errno: "ETIMEDOUT",
          certainty: "certain",
        });
        assertOnTime(verdict, settings);
      });

    test(`cut off with data in flight ${over}: silent, by the user timeout`, async () => {
      const { near, port } = await connection(family);
      const verdict = await verdictOf(near, limited, () => {
        hosts.cut(port);
        near.write("anybody there?");
      });
      assertVerdict(verdict, {
        state: "silent",
        timer: "user-timeout",
        regime: "sending",
        errno: "ETIMEDOUT",
        certainty: "certain",
      });
      assert.ok((verdict.detectedAfterMs ?? 0) >= 3_980);
    });

    test(`written in the middle of keepalive probing ${over}: the user timeout notices`, async () => {
      const { near, port } = await connection(family);
      const verdict = await verdictOf(near, limited, () => {
        hosts.cut(port);
        void untilProbing(near).then(() => near.write("anybody there?"));
      });
      assertVerdict(verdict, { state: "silent", timer: "user-timeout", regime: "sending" });
      assert.ok((verdict.figures?.probes ?? 0) > 0, "no probe was out when the data was written");
    });

    test(`data in flight and a router that says so ${over}: unreachable`, async () => {
      const { near, port } = await connection(family);
      const verdict = await verdictOf(near, limited, () => {
        hosts.reject(port);
        near.write("anybody there?");
      });
      assertVerdict(verdict, {
        state: "unreachable",
        timer: "user-timeout",
        regime: "sending",
        errno: "EHOSTUNREACH",
        certainty: "certain",
      });
    });

    test(`a reader that takes nothing ${over}: unresponsive, for its host answers`, async () => {
      const { near } = await connection(family);
      const verdict = await verdictOf(near, limited, () => near.write(Buffer.alloc(32 << 20)));
      assertVerdict(verdict, {
        state: "unresponsive",
        timer: "user-timeout",
        regime: "zero-window",
        errno: "ETIMEDOUT",
        certainty: "certain",
      });
    });

    test(`a reader that takes nothing and is then cut off ${over}: silent`, async () => {
      const { near, port } = await connection(family);
      const verdict = await verdictOf(near, limited, () => {
        near.write(Buffer.alloc(32 << 20));
        void untilWindowIsZero(near).then(() => hosts.cut(port));
      });
      assertVerdict(verdict, { state: "silent", timer: "user-timeout", regime: "zero-window" });
    });

    test(`an orderly end ${over}: closed`, async () => {
      const { near, far } = await connection(family);
      near.resume();
      const verdict = await verdictOf(near, plain, () => far.end());
      assertVerdict(verdict, { state: "closed", timer: "none", errno: null, certainty: "certain" });
    });

    test(`an orderly end that nobody reads, then destroyed ${over}: still closed`, async () => {
      const { near, far } = await connection(family);
      near.pause();
      const guarded = guard(near, plain);
      far.end("never read");
      await until(() => guarded.snapshot()?.state === "CLOSE_WAIT");
      const verdict = once(guarded, "verdict");
      near.destroy();
      assertVerdict(((await verdict) as [Verdict])[0], { state: "closed", certainty: "certain" });
    });

    test(`a connect that nothing answers ${over}: silent, by the user timeout`, async () => {
      const port = serve();
      hosts.cut(port);
      const near = connect({ host: hosts.address("far", family), port });
      const verdict = await verdictOf(near, limited, () => {});
      assertVerdict(verdict, {
        state: "silent",
        timer: "user-timeout",
        regime: "connecting",
        errno: "ETIMEDOUT",
        lastHeardMs: null,
      });
      assert.ok((verdict.detectedAfterMs ?? 0) >= 3_900);
    });

    test(`a connect to where nobody listens ${over}: reset`, async () => {
      const near = connect({ host: hosts.address("far", family), port: 1 });
      const verdict = await verdictOf(near, plain, () => {});
      assertVerdict(verdict, { state: "reset", regime: "connecting", errno: "ECONNREFUSED" });
      assert.ok(Number.isInteger(verdict.detectedAfterMs), "whole milliseconds");
    });

    test(`a connect that a router refuses ${over}: unreachable`, async () => {
      const port = serve();
      hosts.reject(port);
      const near = connect({ host: hosts.address("far", family), port });
      const verdict = await verdictOf(near, plain, () => {});
      assertVerdict(verdict, {
        state: "unreachable",
        timer: "none",
        regime: "connecting",
        errno: "EHOSTUNREACH",
      });
    });

    test(`TLS, idle and cut off ${over}: silent, on time`, async () => {
      const port = serve(tlsServer());
      const near = tlsConnect({ host: hosts.address("far", family), port });
      await once(near, "secureConnect");
      const verdict = await verdictOf(near, plain, () => hosts.cut(port));
      assertVerdict(verdict, { state: "silent", timer: "keepalive", regime: "idle", certainty: "certain" });
      assertOnTime(verdict, plain);
    });

    test(`TLS over a guarded socket ${over}: the socket below finds out, though TLS gets the error`, async () => {
      const port = serve(tlsServer());
      const below = connect({ host: hosts.address("far", family), port });
      await once(below, "connect");
      const above = tlsConnect({ socket: below });
      above.on("error", () => {});
      await once(above, "secureConnect");
      const verdict = await verdictOf(below, plain, () => hosts.cut(port));
      assertVerdict(verdict, { state: "silent", timer: "keepalive", regime: "idle", certainty: "likely" });
    });

    test(`an HTTP agent's free socket, cut off ${over}: silent`, async () => {
      const port = nextPort++;
      const program = startProgram(
        ["ip", "netns", "exec", hosts.name("far"), process.execPath, "-e"],
        `require("node:http").createServer({ keepAliveTimeout: 0 }, (q, a) => a.end("hello")).listen(${port}, () => console.log("ready"))`,
      );
      try {
        await program.says("ready");
        const agent = new Agent({ keepAlive: true });
        const request = get({ host: hosts.address("far", family), port, agent });
        const [socket] = (await once(request, "socket")) as [Socket];
        const guarded = guard(request, limited);
        const verdict = once(guarded, "verdict");
        const [answer] = (await once(request, "response")) as [NodeJS.ReadableStream];
        answer.resume();
        await once(agent, "free");
        hosts.cut(port);
        // The agent takes an idle socket's error in silence.
        assertVerdict(((await verdict) as [Verdict])[0], { state: "silent", timer: "keepalive" });
        assert.ok(socket.destroyed);
        agent.destroy();
      } finally {
        await program.kill();
      }
    });

    test(`the peer's process killed ${over}: closed, or reset if it left something unread`, async () => {
      for (const [unread, expected] of [
        [false, { state: "closed", errno: null }],
        [true, { state: "reset", errno: "ECONNRESET" }],
      ] as const) {
        const port = nextPort++;
        const program = startProgram(
          ["ip", "netns", "exec", hosts.name("far"), process.execPath, "-e"],
          `require("node:net").createServer({ pauseOnConnect: true }, () => console.log("accepted")).listen(${port}, () => console.log("ready"))`,
        );
        try {
          await program.says("ready");
          const near = connect({ host: hosts.address("far", family), port });
          // Before that, it is the kernel that ends what waits to be accepted, with an RST.
          await program.says("accepted");
          near.resume();
          const guarded = guard(near, plain);
          if (unread) {
            near.write("never read");
            // Acknowledged, so it lies in the peer's receive queue.
            await until(() => guarded.snapshot()?.regime === "idle");
          }
          const verdict = await verdictOf(near, plain, () => void program.kill());
          assertVerdict(verdict, { ...expected, certainty: "certain" });
        } finally {
          await program.kill();
        }
      }
    });
  }
});

/** Settings on, trouble made, verdict awaited; the socket's own error is expected. */
async function verdictOf(socket: Socket, settings: Settings, trouble: () => void): Promise<Verdict> {
  const guarded = guard(socket, settings);
  socket.on("error", () => {});
  const verdict = once(guarded, "verdict");
  trouble();
  return ((await verdict) as [Verdict])[0];
}

function assertVerdict(verdict: Verdict, expected: Partial<Verdict>): void {
  const got = Object.fromEntries(Object.keys(expected).map((key) => [key, verdict[key as keyof Verdict]]));
  assert.deepEqual(got, expected, JSON.stringify(verdict));
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10));
}

async function untilProbing(socket: Socket): Promise<void> {
  const guarded = guard(socket, limited);
  // A second of idleness, and the first probe goes out.
  await until(() => (guarded.snapshot()?.lastHeardMs ?? 0) > 1_500);
}

async function untilWindowIsZero(socket: Socket): Promise<void> {
  const guarded = guard(socket, limited);
  await until(() => guarded.snapshot()?.regime === "zero-window");
}
