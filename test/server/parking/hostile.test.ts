import assert from "node:assert/strict";
import { once } from "node:events";
import { closeSync, fstatSync, openSync, readdirSync, readlinkSync } from "node:fs";
import { connect } from "node:net";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { baseFd } from "../../../src/guard/inner-socket.js";
import { SOL_SOCKET } from "../../../src/kernel/abi.js";
import { check, libc } from "../../../src/kernel/libc.js";
import { encode } from "../../../src/heartbeat/protocol/encode.js";
import type { Bye, Message } from "../../../src/heartbeat/protocol/message.js";
import { HeartbeatServer } from "../../../src/server/heartbeat-server.js";
import type { HeartbeatServerOptions } from "../../../src/server/options.js";
import type { Session } from "../../../src/server/session.js";
import type { Verdict } from "../../../src/verdict/verdict.js";
import { randomFrom } from "../../support/random.js";
import { reset } from "../../support/reset.js";
import { until } from "../../support/until.js";
import { plainHello, RawClient } from "../raw-client.js";

/** include/uapi/asm-generic/socket.h. */
const SO_RCVBUF = 8;

const beat = (number: number): Buffer =>
  encode({ type: "beat", number, sendEveryMs: 0, received: 0, payload: Buffer.alloc(0) });
const data = (sequence: number, payload = Buffer.alloc(0)): Buffer =>
  encode({ type: "data", sequence, payload });

function socketsOf(): Map<number, string> {
  const found = new Map<number, string>();
  for (const fd of readdirSync("/proc/self/fd").map(Number))
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      if (target.startsWith("socket:")) found.set(fd, target);
    } catch {
      // The folder's own, closed since.
    }
  return found;
}

function answers(client: RawClient): number[] {
  return client.heard.flatMap((message: Message) => (message.type === "answer" ? [message.number] : []));
}

interface Met {
  readonly server: HeartbeatServer;
  readonly client: RawClient;
  readonly session: Session;
  readonly port: number;
}

/** Everybody is where sessions that need nothing are. */
async function atRest(server: HeartbeatServer, parking: boolean): Promise<void> {
  if (parking) await until(() => server.parkedCount === server.sessionCount);
}

for (const [way, parking] of [
  ["parked", { after: "10ms" }],
  ["not parked", false],
] as const)
  for (const host of ["127.0.0.1", "::1"])
    describe(`hostile peers of sessions that are ${way}, over ${host}`, { timeout: 60_000 }, () => {
      const open: AsyncDisposable[] = [];
      after(async () => {
        for (const thing of open) await thing[Symbol.asyncDispose]();
      });

      async function met(options: HeartbeatServerOptions = {}): Promise<Met> {
        const server = new HeartbeatServer({ parking, ...options });
        open.push(server);
        const { port } = await server.listen({ port: 0, host });
        const client = await RawClient.connect(port, host);
        const came = once(server, "session") as Promise<[Session]>;
        await client.hello();
        const [session] = await came;
        await atRest(server, parking !== false);
        return { server, client, session, port };
      }

      test("one byte at a time, and quiet after each: everything is understood as if it came at once", async () => {
        const { server, client } = await met({ beatsPerSecond: 1_000 });
        const said: string[] = [];
        server.on("data", (_, payload) => said.push(Buffer.from(payload).toString()));
        const stream = Buffer.concat([beat(1), data(1, Buffer.from("one")), beat(2), beat(3), data(2)]);
        for (const byte of stream) {
          client.socket.write(Buffer.of(byte));
          // Longer than the quiet time, so that it would be parked in the middle of a message if that were possible.
          await sleep(12);
        }
        await until(() => answers(client).length === 3 && said.length === 2);
        assert.deepEqual(answers(client), [1, 2, 3]);
        assert.deepEqual(said, ["one", ""]);
        await atRest(server, parking !== false);
      });

      for (const [what, bytes, expected] of [
        ["a browser", Buffer.from("GET / HTTP/1.1\r\n\r\n"), /^protocol-error/],
        ["ten megabytes of the letter x", Buffer.alloc(10_000_000, "x"), /^protocol-error/],
        ["a beat and then noise", Buffer.concat([beat(1), Buffer.alloc(64, 0xff)]), /^protocol-error/],
        [
          "a flood of beats",
          Buffer.concat(Array.from({ length: 2_000 }, (_, n) => beat(n + 1))),
          /^too-many-beats/,
        ],
        [
          "an acknowledgement of nothing",
          encode({ type: "acknowledgement", received: 9 }),
          /^protocol-error/,
        ],
        ["a second hello", encode(plainHello), /^protocol-error/],
      ] as const)
        test(`${what}: told why, evicted, and the next connection finds the session`, async () => {
          const { server, client, session, port } = await met();
          const offline = once(server, "offline") as Promise<[Session, Verdict]>;
          const { token } = (await client.next("hello")) as { readonly token?: Uint8Array };
          client.socket.write(bytes);
          const [, verdict] = await offline;
          assert.equal(verdict.state, "evicted");
          await client.ended;
          const bye = client.heard.find(({ type }) => type === "bye") as Bye | undefined;
          // Whoever still writes when this side closes has the goodbye taken away by the kernel's RST.
          if (bye !== undefined) assert.match(`${bye.reason}: ${bye.text}`, expected);
          else assert.ok(bytes.length > 1_000_000);
          const again = await RawClient.connect(port, host);
          await again.hello({ session: Buffer.from(session.id, "hex"), token: token ?? Buffer.alloc(0) });
          assert.equal(server.sessionCount, 1);
          again.socket.destroy();
        });

      test("a flood of messages arrives whole and in order", async () => {
        const { server, client } = await met();
        const sequences: number[] = [];
        server.on("data", (_, __, sequence) => sequences.push(sequence));
        const flood = Array.from({ length: 20_000 }, (_, n) => data(n + 1, Buffer.alloc(n % 50)));
        client.socket.write(Buffer.concat(flood));
        await until(() => sequences.length === flood.length);
        assert.ok(sequences.every((sequence, n) => sequence === n + 1));
        await atRest(server, parking !== false);
      });

      test("its writing half closed, with beats before: they are answered, and the connection ends", async () => {
        const { server, client } = await met();
        const offline = once(server, "offline") as Promise<[Session, Verdict]>;
        client.socket.end(Buffer.concat([beat(1), beat(2)]));
        const [, { state }] = await offline;
        assert.equal(state, "closed");
        await client.ended;
        assert.deepEqual(answers(client), [1, 2]);
      });

      test("its window kept at zero, and silent then: given up as unresponsive", async () => {
        const detect = { idle: "1s", interval: "200ms", count: 3 };
        const { server, client } = await met({ detect, beatsPerSecond: 1e9 });
        const offline = once(server, "offline") as Promise<[Session, Verdict]>;
        check(
          libc().setsockopt(baseFd(client.socket), SOL_SOCKET, SO_RCVBUF, Buffer.alloc(4), 4),
          "SO_RCVBUF",
        );
        client.socket.pause();
        // More answers than both sides' buffers hold.
        const many = Buffer.concat(Array.from({ length: 3_000 }, (_, n) => beat(n + 1)));
        for (let n = 0; n < 150; n++) client.socket.write(many);
        const [, { state, timer, sentence }] = await offline;
        assert.deepEqual([state, timer], ["unresponsive", "heartbeat"], sentence);
        client.socket.destroy();
        await until(() => server.parkedCount === 0);
      });

      test("closes in every state: each ends with a verdict, and no descriptor is left", async (context) => {
        const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 32));
        context.diagnostic(`SEED=${seed}`);
        const random = randomFrom(seed);
        const before = socketsOf().size;
        const rounds = 200;
        const server = new HeartbeatServer({
          parking: parking === false ? false : { after: 1 },
          grace: "300ms",
          beatsPerSecond: 1_000,
        });
        const { port } = await server.listen({ port: 0, host });
        const states: string[] = [];
        let ended = 0;
        server.on("offline", (_, { state }) => states.push(state));
        server.on("end", () => ended++);
        server.on("session", (session) => {
          // Something to send, a goodbye or an eviction crosses what the client does.
          const act = random(6);
          setTimeout(() => {
            if (session.state !== "present") return;
            if (act === 0) session.send("crossing");
            if (act === 1) session.close();
            if (act === 2) session.evict("crossing");
          }, random(40));
        });
        const live = async (n: number): Promise<void> => {
          await sleep(random(300));
          const client = await RawClient.connect(port, host);
          await client.hello();
          for (let more = random(4); more-- > 0; ) {
            client.socket.write(random(2) > 0 ? beat(1) : data(1).subarray(0, 1 + random(11)));
            if (random(2) > 0) await sleep(random(15));
          }
          if (random(3) === 0) await sleep(random(30));
          if (client.socket.destroyed) return;
          const { socket } = client;
          [() => socket.end(), () => reset(socket), () => socket.destroy(), () => socket.end(beat(n))][
            random(4)
          ]?.();
          await client.ended;
        };
        await Promise.all(Array.from({ length: rounds }, (_, n) => live(n)));
        await until(() => server.sessionCount === 0);
        assert.equal(ended, rounds);
        assert.equal(states.length, rounds);
        // Halves of messages with others behind them are broken, and told so.
        assert.ok(
          states.every((state) => ["closed", "reset", "evicted", "local"].includes(state)),
          states.join(" "),
        );
        assert.equal(server.parkedCount, 0);
        await server.close();
        await until(() => socketsOf().size <= before);
      });
    });

describe("a parked session's descriptor, closed by somebody else", { timeout: 60_000 }, () => {
  test("ends the session as our own doing, and whoever has the number now keeps it", async () => {
    await using server = new HeartbeatServer({
      parking: { after: "10ms" },
      detect: { idle: "500ms", interval: "200ms", count: 3 },
    });
    const { port } = await server.listen({ port: 0, host: "127.0.0.1" });
    const before = socketsOf();
    const client = await RawClient.connect(port);
    await client.hello();
    await until(() => server.parkedCount === 1);
    const offline = once(server, "offline") as Promise<[Session, Verdict]>;
    const fd = [...socketsOf().keys()].find((one) => !before.has(one) && one !== baseFd(client.socket)) ?? -1;
    closeSync(fd);
    const taken: number[] = [];
    while (taken.at(-1) !== fd) taken.push(openSync("/dev/null", "r"));
    const [, { state }] = await offline;
    assert.equal(state, "local");
    await client.ended;
    assert.ok(fstatSync(fd).isCharacterDevice());
    for (const one of taken) closeSync(one);
    assert.equal(server.parkedCount, 0);
  });

  test("and used again at once by another session: each hears only its own client, a thousand times", async (context) => {
    const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 32));
    context.diagnostic(`SEED=${seed}`);
    const random = randomFrom(seed);
    await using server = new HeartbeatServer({ parking: { after: 1 }, grace: 50 });
    const heard: [id: string, said: string][] = [];
    server.on("data", ({ id }, payload) => heard.push([id, Buffer.from(payload).toString()]));
    const { port } = await server.listen({ port: 0, host: "127.0.0.1" });
    const names = new Map<string, string>();
    for (let round = 0; round < 1_000; round++) {
      const one = await RawClient.connect(port);
      const { session } = await one.hello();
      const id = Buffer.from(session ?? []).toString("hex");
      names.set(id, `client ${round}`);
      one.socket.write(beat(1));
      if (random(2) > 0) await sleep(random(3));
      // Its number is free as soon as the server has read this; what it says before belongs to it alone.
      one.socket.write(data(1, Buffer.from(`client ${round}`)));
      if (random(2) > 0) reset(one.socket);
      else one.socket.end();
    }
    await until(() => server.sessionCount === 0);
    for (const [id, said] of heard) assert.equal(said, names.get(id));
    assert.ok(heard.length >= 300, `${heard.length} of 1000 were heard before their reset`);
  });
});

test("whoever connects and closes at once is forgotten", { timeout: 60_000 }, async () => {
  const before = socketsOf().size;
  const server = new HeartbeatServer({ parking: { after: 1 }, handshake: "200ms" });
  const { port } = await server.listen({ port: 0, host: "127.0.0.1" });
  for (let n = 0; n < 300; n++) {
    const socket = connect({ port, host: "127.0.0.1" }).on("error", () => {});
    await once(socket, "connect");
    if (n % 3 === 0) socket.write(encode(plainHello).subarray(0, n % 30));
    if (n % 2 === 0) reset(socket);
    else socket.destroy();
  }
  await until(() => socketsOf().size <= before + 1);
  assert.equal(server.sessionCount, 0);
  await server.close();
  await until(() => socketsOf().size <= before);
});
