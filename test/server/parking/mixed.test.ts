import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { encode } from "../../../src/heartbeat/protocol/encode.js";
import type { Beat, Hello, Message } from "../../../src/heartbeat/protocol/message.js";
import { HeartbeatServer } from "../../../src/server/heartbeat-server.js";
import { randomFrom } from "../../support/random.js";
import { until } from "../../support/until.js";
import { RawClient } from "../raw-client.js";

// In full: CLIENTS=10000 SECONDS=600 npm test -- server/parking/mixed
const clients = Number(process.env["CLIENTS"] ?? 100);
const seconds = Number(process.env["SECONDS"] ?? 3);
const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 32));

/** How a client ends. */
const ends = ["bye", "FIN", "RST"] as const;

interface Outcome {
  readonly end: (typeof ends)[number];
  readonly id: string;
  readonly beats: number;
  readonly data: number;
}

/** One client's life: it beats, talks, is quiet, says things in halves, and ends one way or another. */
async function live(client: RawClient, random: (below: number) => number, untilMs: number): Promise<Outcome> {
  let beats = 0;
  let data = 0;
  const say = async (message: Message): Promise<void> => {
    const bytes = encode(message);
    const cut = random(3) === 0 ? random(bytes.length) : 0;
    if (cut > 0) {
      client.socket.write(bytes.subarray(0, cut));
      await sleep(random(40));
    }
    client.socket.write(bytes.subarray(cut));
  };
  while (performance.now() < untilMs) {
    for (let number = random(5); number-- > 0; ) {
      const beat: Beat = {
        type: "beat",
        number: ++beats,
        sendEveryMs: 0,
        received: 0,
        payload: Buffer.alloc(0),
      };
      await say(beat);
    }
    if (random(3) === 0) await say({ type: "data", sequence: ++data, payload: Buffer.alloc(random(300)) });
    await sleep(random(150));
  }
  const answers = (): number[] =>
    client.heard.flatMap((message) => (message.type === "answer" ? [message.number] : []));
  await until(() => answers().length >= beats);
  assert.deepEqual(
    answers(),
    Array.from({ length: beats }, (_, n) => n + 1),
    "each beat was answered once, in order",
  );
  const end = ends[random(ends.length)] ?? "bye";
  if (end === "bye") client.say({ type: "bye", reason: "done", text: "" });
  if (end === "FIN") client.socket.end();
  if (end === "RST") client.socket.resetAndDestroy();
  await client.ended;
  const { session } = (await client.next("hello")) as Hello;
  return { end, id: Buffer.from(session ?? []).toString("hex"), beats, data };
}

const states = { bye: "closed", FIN: "closed", RST: "reset" } as const;

for (const parking of [false, { after: "30ms" }])
  test(`a mixed load of ${clients} clients, parking ${JSON.stringify(parking)}: all is accounted for (SEED=${seed})`, {
    timeout: seconds * 1_000 + 120_000,
  }, async (context) => {
    const before = readdirSync("/proc/self/fd").length;
    const server = new HeartbeatServer({ parking, grace: "100ms", beatsPerSecond: 1_000 });
    const sequences = new Map<string, number[]>();
    const verdicts = new Map<string, string>();
    let mostParked = 0;
    server.on("session", ({ id }) => sequences.set(id, []));
    server.on("data", ({ id }, _, sequence) => {
      sequences.get(id)?.push(sequence);
      mostParked = Math.max(mostParked, server.parkedCount);
    });
    server.on("offline", ({ id }, { state }) => verdicts.set(id, state));
    const { port } = await server.listen({ port: 0, host: "127.0.0.1" });
    // One after the other: a client that does not fit into the kernel's queue for accept repeats its hello too late for the handshake's time.
    const connected: RawClient[] = [];
    for (let n = 0; n < clients; n++) {
      const client = await RawClient.connect(port);
      await client.hello();
      connected.push(client);
    }
    const untilMs = performance.now() + seconds * 1_000;
    const outcomes = await Promise.all(
      connected.map((client, n) => live(client, randomFrom(seed + n), untilMs)),
    );
    await until(() => verdicts.size === clients && server.sessionCount === 0);
    for (const { end, id, data } of outcomes) {
      assert.deepEqual(
        sequences.get(id),
        Array.from({ length: data }, (_, n) => n + 1),
      );
      assert.equal(verdicts.get(id), states[end]);
    }
    context.diagnostic(`${mostParked} parked at a time, at most`);
    assert.equal(mostParked > 0, parking !== false);
    assert.equal(server.parkedCount, 0);
    await server.close();
    await until(() => readdirSync("/proc/self/fd").length <= before + 2);
  });
