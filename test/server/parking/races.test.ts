import assert from "node:assert/strict";
import { Socket } from "node:net";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { encode } from "../../../src/heartbeat/protocol/encode.js";
import type { Message } from "../../../src/heartbeat/protocol/message.js";
import { StreamReader } from "../../../src/heartbeat/protocol/stream-reader.js";
import { randomFrom } from "../../support/random.js";
import { until } from "../../support/until.js";
import { easyTerms, Guest, openLot, Pairs, takeFd } from "./support.js";

// Each race: a connection goes into the lot while its peer writes, and comes out because of what was written, or because it is asked
// for at the same time. In full: RACES=100000 npm test -- server/parking/races
const races = Number(process.env["RACES"] ?? 2_000);
const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 32));
const connections = 40;

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** One connection: what its client writes, and what both sides see of it. */
class Racer {
  readonly #random: (below: number) => number;
  readonly #client: Socket;
  readonly #reader = new StreamReader({ greeted: true });
  #socket: Socket | null = null;
  /** Written by the client and not yet on its way, as frames are cut anywhere. */
  #pending = Buffer.alloc(0);
  /** Frames are numbered through; of each, whether it is a beat. */
  readonly isBeat: boolean[] = [];
  /** Numbers that came out of the lot or past it, and numbers that were answered. */
  readonly seen: number[] = [];
  readonly answered: number[] = [];

  constructor(client: Socket, accepted: Socket, random: (below: number) => number) {
    this.#random = random;
    this.#client = client;
    const answers = new StreamReader({ greeted: true });
    client.on("data", (chunk) =>
      answers.push(chunk, (message) => this.answered.push((message as { number: number }).number)),
    );
    this.#attend(accepted);
  }

  #attend(socket: Socket): void {
    this.#socket = socket;
    socket.on("error", () => {});
    socket.on("data", (chunk) => this.#read(chunk));
    socket.resume();
  }

  #read(chunk: Buffer): void {
    this.#reader.push(chunk, (message: Message) => {
      if (message.type === "data") this.seen.push(message.sequence);
      if (message.type !== "beat") return;
      this.seen.push(message.number);
      this.#socket?.write(encode({ ...message, type: "answer", received: 7 }));
    });
  }

  /** Writes some frames, or parts of them. */
  say(): void {
    for (let frames = this.#random(4); frames-- > 0; ) {
      const number = this.isBeat.length + 1;
      const beat = this.#random(4) > 0;
      this.isBeat.push(beat);
      const frame = beat
        ? encode({ type: "beat", number, sendEveryMs: 0, received: 0, payload: Buffer.alloc(0) })
        : encode({ type: "data", sequence: number, payload: Buffer.alloc(this.#random(200)) });
      this.#pending = Buffer.concat([this.#pending, frame]);
    }
    const whole = this.#random(3) > 0;
    const length = whole ? this.#pending.length : this.#random(this.#pending.length + 1);
    if (length > 0) this.#client.write(this.#pending.subarray(0, length));
    this.#pending = this.#pending.subarray(length);
  }

  async race(lot: Awaited<ReturnType<typeof openLot>>): Promise<void> {
    const socket = this.#socket as Socket;
    this.say();
    for (let turns = this.#random(3); turns-- > 0; ) await tick();
    // As a server does: nothing is under way in this process.
    while (this.#reader.inMessage || socket.readableLength > 0 || socket.writableLength > 0) {
      this.flush();
      await tick();
    }
    const guest = new Guest();
    const fd = takeFd(socket);
    const place = lot.park(fd, guest, { ...easyTerms(), paidMs: 0 });
    assert.notEqual(place, null);
    for (let turns = this.#random(4); turns-- > 0 && guest.back === null; ) {
      this.say();
      if (this.#random(2) > 0) await tick();
    }
    if (this.#random(2) > 0) place?.shift.recall(place.slot);
    else {
      this.#pending = Buffer.concat([this.#pending, this.#data()]);
      this.flush();
    }
    for (let turns = 0; guest.back === null; turns++) {
      await tick();
      // Whatever was drawn, it comes out in the end.
      if (turns === 200) place?.shift.recall(place.slot);
    }
    const { back } = guest;
    assert.notEqual(back.fd, null);
    assert.equal(back.failed, null);
    const again = new Socket({ fd: back.fd as number });
    this.#socket = again;
    if (back.unsent !== null) again.write(back.unsent);
    if (back.bytes !== null) this.#read(Buffer.from(back.bytes));
    this.#attend(again);
  }

  #data(): Buffer {
    const sequence = this.isBeat.push(false);
    return encode({ type: "data", sequence, payload: Buffer.of(1) });
  }

  flush(): void {
    if (this.#pending.length > 0) this.#client.write(this.#pending);
    this.#pending = Buffer.alloc(0);
  }

  async finish(): Promise<void> {
    this.flush();
    const beats = this.isBeat.flatMap((isBeat, index) => (isBeat ? [index + 1] : []));
    const others = this.isBeat.flatMap((isBeat, index) => (isBeat ? [] : [index + 1]));
    await until(() => this.answered.length >= beats.length);
    await until(
      () => this.seen.filter((number) => this.isBeat[number - 1] === false).length >= others.length,
    );
    assert.deepEqual(this.answered, beats, "each beat was answered once, in order");
    assert.deepEqual(
      this.seen,
      this.seen.toSorted((a, b) => a - b),
      "what passed the lot came in order",
    );
    assert.deepEqual(
      this.seen.filter((number) => this.isBeat[number - 1] === false),
      others,
      "everything else came once, in order",
    );
    this.#socket?.destroy();
  }
}

test(`${races} connections go in and out of the lot while they talk, and no byte is lost, doubled or moved (SEED=${seed})`, {
  timeout: 600_000,
}, async (context) => {
  context.diagnostic(`SEED=${seed} RACES=${races}`);
  await using pairs = await Pairs.open();
  const lot = await openLot({ beatEveryMs: 1e-6 });
  const before = readdirSync("/proc/self/fd").length;
  const racers: Racer[] = [];
  for (let n = 0; n < connections; n++) {
    const { client, accepted } = await pairs.make();
    racers.push(new Racer(client, accepted, randomFrom(seed + n)));
  }
  await Promise.all(
    racers.map(async (racer) => {
      for (let n = 0; n < races / connections; n++) await racer.race(lot);
    }),
  );
  for (const racer of racers) await racer.finish();
  const beats = racers.flatMap(({ isBeat }) => isBeat.filter(Boolean)).length;
  const passed = racers.flatMap(({ seen, isBeat }) => seen.filter((n) => isBeat[n - 1])).length;
  context.diagnostic(`${beats - passed} of ${beats} beats were answered in the lot`);
  assert.ok(beats - passed > races / 20, "the lot had a share in it");
  assert.equal(lot.parked, 0);
  await lot.close();
  await until(() => readdirSync("/proc/self/fd").length <= before + connections);
});
