import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { LongConnection } from "../../src/client/index.js";
import { libcProblem } from "../../src/kernel/libc.js";
import { listSockets } from "../../src/kernel/sock-diag.js";
import type { LearnedInterval } from "../../src/heartbeat/index.js";
import { HeartbeatServer } from "../../src/server/index.js";
import { VirtualClock } from "../../src/time/virtual-clock.js";
import { selfSigned } from "../support/certificate.js";
import { until } from "../support/until.js";

/** A relay that forgets a connection after a silence, as a NAT does: what comes then is lost without a word. */
async function forgetful(
  clock: VirtualClock,
  { port, natMs, onLost }: { port: number; natMs: number; onLost: () => void },
): Promise<number> {
  // Nobody waits for acknowledgements, which keep to real time.
  const server = createServer({ noDelay: true }, (near) => {
    const far = connect({ port, host: "127.0.0.1", noDelay: true });
    let heardMs = clock.monotonic();
    let forgotten = false;
    const pass = (to: Socket) => (bytes: Buffer) => {
      forgotten ||= clock.monotonic() - heardMs >= natMs;
      heardMs = clock.monotonic();
      if (forgotten) onLost();
      else to.write(bytes);
    };
    near.on("data", pass(far));
    far.on("data", pass(near));
    for (const socket of [near, far]) socket.on("error", () => {}).unref();
  });
  server.listen(0, "127.0.0.1").unref();
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

describe("a long connection that learns its interval against a server", { timeout: 120_000 }, () => {
  const certificate = selfSigned();
  for (const transport of ["tcp", "tls"] as const)
    for (const natMs of [20_000, 45_000])
      test(`over ${transport}, settles within 3 s below a NAT of ${natMs / 1_000} s, which the server's own beats do not disturb`, async () => {
        const clock = new VirtualClock();
        await using server = new HeartbeatServer({ clock, detect: "normal" });
        const where = { port: 0, host: "127.0.0.1" };
        const { port } =
          transport === "tcp"
            ? await server.listen(where)
            : await server.listenTls({ ...where, tls: certificate });
        /** A beat is on its way: no time passes meanwhile, whatever the kernel needs for it. */
        let underway = false;
        const onLost = (): void => {
          underway = false;
        };
        let learned: LearnedInterval = { goodMs: 0, badMs: null, at: 0 };
        const connection = new LongConnection({
          to: `${transport}://127.0.0.1:${await forgetful(clock, { port, natMs, onLost })}`,
          ...(transport === "tls" ? { tls: { ca: certificate.cert } } : {}),
          clock,
          watchNetwork: false,
          adaptive: {
            floor: "10s",
            ceiling: "10m",
            store: { load: () => null, save: (_, now) => (learned = now) },
          },
        });
        let offline = 0;
        connection.on("offline", () => {
          offline++;
          underway = false;
        });
        connection.on("online", () => {
          connection.heartbeat?.on("beat", () => (underway = true));
          connection.heartbeat?.on("answer", () => (underway = false));
        });
        const pass = async (ms: number): Promise<void> => {
          for (const untilMs = clock.monotonic() + ms; clock.monotonic() < untilMs; ) {
            await clock.advance(250);
            await until(() => !underway && connection.state !== "connecting");
            // The server's own beats arrive in a few turns, and have a second for it.
            for (let n = 0; n < 4; n++) await turn();
          }
        };
        await until(() => connection.state === "online");
        await pass(30 * 60_000);
        const { goodMs, badMs } = learned;
        assert.ok(goodMs < natMs && goodMs >= natMs - 3_000, `good: ${goodMs} ms, bad: ${String(badMs)} ms`);
        assert.equal(connection.heartbeat?.settings.idleMs, goodMs);
        assert.ok(offline <= 6, `${offline} connections spent`);
        // Settled is settled: the next half hour costs none.
        const before = offline;
        await pass(30 * 60_000);
        assert.equal(offline, before);
        const closed = connection.close();
        await pass(3_000);
        await closed;
      });
});

describe("TCP's own probes", { skip: libcProblem() === null ? false : "needs koffi" }, () => {
  const store = { load: () => null, save: () => {} };
  for (const [what, adaptive, timer] of [
    ["are sent by both ends", undefined, "keepalive"],
    [
      "are sent by neither where the interval is learned, for they would keep the path awake",
      { floor: "10s", ceiling: "10m", store },
      "none",
    ],
  ] as const)
    for (const transport of ["tcp", "tls"] as const)
      test(`over ${transport}, ${what}`, async () => {
        const tls = selfSigned();
        await using server = new HeartbeatServer();
        const where = { port: 0, host: "127.0.0.1" };
        const { port } =
          transport === "tcp" ? await server.listen(where) : await server.listenTls({ ...where, tls });
        await using connection = new LongConnection({
          to: `${transport}://127.0.0.1:${port}`,
          ...(transport === "tls" ? { tls: { ca: tls.cert } } : {}),
          ...(adaptive === undefined ? {} : { adaptive }),
        });
        await once(connection, "online");
        const timers = (): string[] =>
          listSockets({ states: ["ESTABLISHED"] })
            .filter(({ local, remote }) => local.port === port || remote.port === port)
            .map(({ timer: { kind } }) => kind);
        // Until what was said last is acknowledged, it is another timer's turn.
        await until(() => timers().every((kind) => kind === timer));
        assert.equal(timers().length, 2);
      });
});

describe("a long connection and a server whose clocks behave oddly", { timeout: 60_000 }, () => {
  test("people's clock set a year ahead or back, a machine that sleeps, a process that stands still: nobody is blamed", async () => {
    const clock = new VirtualClock(1_700_000_000_000);
    await using server = new HeartbeatServer({ clock, detect: "demanding" });
    const { port } = await server.listen({ port: 0, host: "127.0.0.1" });
    const connection = new LongConnection({
      to: `tcp://127.0.0.1:${port}`,
      clock,
      detect: "demanding",
      watchNetwork: false,
    });
    const alarms: string[] = [];
    connection.on("offline", ({ sentence }) => alarms.push(`client: ${sentence}`));
    server.on("offline", (_, { sentence }) => alarms.push(`server: ${sentence}`));
    await until(() => connection.state === "online");
    let answers = 0;
    connection.heartbeat?.on("answer", () => answers++);
    const pass = async (ms: number): Promise<void> => {
      for (const untilMs = clock.monotonic() + ms; clock.monotonic() < untilMs; ) {
        await clock.advance(100);
        for (let n = 0; n < 6; n++) await turn();
      }
    };
    const yearMs = 365 * 86_400_000;
    for (const upset of [
      () => clock.setWall(clock.now() + yearMs),
      () => clock.setWall(clock.now() - 2 * yearMs),
      () => clock.setWall(clock.now() + 5_000),
      () => clock.suspend(3_600_000),
      () => clock.pause(600_000),
      () => clock.pause(900),
    ]) {
      // At any moment of a wait, also with a question out.
      for (const ms of [0, 1_300, 3_500, 4_600]) {
        await pass(ms);
        upset();
      }
      await pass(20_000);
    }
    assert.deepEqual(alarms, []);
    // How many depends on how fast the real sockets are beside the virtual clock.
    assert.ok(answers > 0, "heartbeats were at work");
    const closed = connection.close();
    await pass(3_000);
    await closed;
  });
});
