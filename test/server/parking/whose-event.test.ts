import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { encode } from "../../../src/heartbeat/protocol/encode.js";
import type { Message } from "../../../src/heartbeat/protocol/message.js";
import { HeartbeatServer } from "../../../src/server/heartbeat-server.js";
import { randomFrom } from "../../support/random.js";
import { reset } from "../../support/reset.js";
import { until } from "../../support/until.js";
import { RawClient } from "../raw-client.js";

// Connections come and go as fast as they can, so that each number of a descriptor has hundreds of owners. Every client says who it is,
// beats with numbers of its own, and ends in its own way; every event that the server tells of it has to fit.

const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 32));
const lives = 1_200;
const atOnce = 30;
const witnesses = 20;

const beat = (number: number): Message => ({
  type: "beat",
  number,
  sendEveryMs: 0,
  received: 0,
  payload: Buffer.alloc(0),
});

/** The ways to end, and what the server has to say of each. */
const ends = {
  fin: (client: RawClient) => void client.socket.end(),
  "half a message and fin": (client: RawClient) => void client.socket.end(encode(beat(1)).subarray(0, 7)),
  rst: (client: RawClient) => reset(client.socket),
  goodbye: (client: RawClient) => client.say({ type: "bye", reason: "done", text: "" }),
  garbage: (client: RawClient) => void client.socket.write(Buffer.alloc(64, 0xff)),
} as const;
type End = keyof typeof ends;
const expected: Readonly<Record<End, readonly [state: string, why: string]>> = {
  fin: ["closed", "expired"],
  "half a message and fin": ["closed", "expired"],
  rst: ["reset", "expired"],
  goodbye: ["closed", "bye"],
  garbage: ["evicted", "expired"],
};

/** What a session was told to be, and what the server told of it. */
interface Life {
  readonly name: string;
  readonly end: End | null;
  readonly told: string[];
}

const sockets = (): number => readdirSync("/proc/self/fd").length;

for (const [way, parking] of [
  ["parked", { after: 1 }],
  ["parked with three workers", { after: 1, workers: 3 }],
  ["not parked", false],
] as const)
  for (const host of ["127.0.0.1", "::1"])
    describe(`${lives} sessions at ${host} that come and go at once, ${way}`, { timeout: 120_000 }, () => {
      test(`hear, and are told, what is their own (SEED=${seed})`, async (context) => {
        context.diagnostic(`SEED=${seed}`);
        const random = randomFrom(seed);
        const before = sockets();
        const server = new HeartbeatServer({
          parking,
          grace: 50,
          beatsPerSecond: 1_000,
          // The first wait is shorter by the session's phase, and nobody is to be asked.
          detect: { idle: "100h", interval: "1m", count: 3 },
        });
        const { port } = await server.listen({ port: 0, host });
        const byId = new Map<string, Life>();
        const unknown: string[] = [];
        const tell = (id: string, what: string): void => {
          const life = byId.get(id);
          if (life === undefined) unknown.push(`${id}: ${what}`);
          else life.told.push(what);
        };
        server.on("data", ({ id }, payload) => tell(id, `data ${Buffer.from(payload).toString()}`));
        server.on("offline", ({ id }, { state }) => tell(id, `offline ${state}`));
        server.on("end", ({ id }, why) => tell(id, `end ${why}`));
        server.on("suspect", ({ id }) => tell(id, "suspect"));
        server.on("resumed", ({ id }) => tell(id, "resumed"));
        server.on("refused", (_, problem) => unknown.push(problem));

        async function begin(name: string, end: End | null): Promise<[RawClient, Life]> {
          const client = await RawClient.connect(port, host);
          const { session } = await client.hello();
          const life: Life = { name, end, told: [] };
          byId.set(Buffer.from(session ?? []).toString("hex"), life);
          return [client, life];
        }

        async function live(n: number): Promise<void> {
          const end = Object.keys(ends)[random(5)] as End;
          const [client, { name }] = await begin(`client ${n}`, end);
          if (random(3) > 0) await sleep(random(5));
          const beats = random(4);
          for (let one = 1; one <= beats; one++) client.say(beat(n * 10 + one));
          if (random(2) > 0) client.say({ type: "data", sequence: 1, payload: Buffer.from(name) });
          if (random(2) > 0) await sleep(random(5));
          ends[end](client);
          await client.ended;
          const answered = client.heard.flatMap((heard) => (heard.type === "answer" ? [heard.number] : []));
          // A reset, this side's or the server's, takes away what is underway.
          const due = Array.from({ length: answered.length }, (_, one) => n * 10 + one + 1);
          assert.deepEqual(answered, due, `${name}'s answers`);
          if (end !== "rst" && end !== "garbage") assert.equal(answered.length, beats, `${name}'s answers`);
        }

        const quiet = await Promise.all(
          Array.from({ length: witnesses }, (_, n) => begin(`witness ${n}`, null)),
        );
        const over = new AbortController();
        const watched = Promise.all(
          quiet.map(async ([client], n) => {
            let said = 0;
            for (; !over.signal.aborted; await sleep(20)) client.say(beat(1_000_000 + n * 10_000 + ++said));
            await until(() => client.heard.length > said);
            assert.deepEqual(
              client.heard.slice(1).map((heard) => heard.type === "answer" && heard.number - 1_000_000),
              Array.from({ length: said }, (_, one) => n * 10_000 + one + 1),
              "each of its beats is answered once",
            );
          }),
        );
        let next = 0;
        await Promise.all(
          Array.from({ length: atOnce }, async () => {
            while (next < lives) await live(++next);
          }),
        );
        over.abort();
        await watched;
        await until(() => server.sessionCount === witnesses);
        for (const { name, end, told } of byId.values()) {
          if (end === null) {
            assert.deepEqual(told, [], name);
            continue;
          }
          const [state, why] = expected[end];
          const rest = told.filter((what) => what !== `data ${name}`);
          assert.ok(told.length - rest.length <= 1, `${name}: ${told.join(", ")}`);
          assert.deepEqual(rest, [`offline ${state}`, `end ${why}`], `${name}, ${end}: ${told.join(", ")}`);
        }
        assert.deepEqual(unknown, []);
        assert.equal(byId.size, lives + witnesses);
        await server.close();
        await Promise.all(quiet.map(([client]) => client.ended));
        await until(() => sockets() <= before + 1);
      });
    });
