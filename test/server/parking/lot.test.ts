import assert from "node:assert/strict";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import type { Socket } from "node:net";
import { constants } from "node:os";
import { after, before, describe, test } from "node:test";
import { encode } from "../../../src/heartbeat/protocol/encode.js";
import type { Beat } from "../../../src/heartbeat/protocol/message.js";
import type { Lot } from "../../../src/server/parking/lot.js";
import { reset } from "../../support/reset.js";
import { until } from "../../support/until.js";
import { baseFd } from "../../../src/guard/inner-socket.js";
import { SOL_SOCKET } from "../../../src/kernel/abi.js";
import { check, libc } from "../../../src/kernel/libc.js";
import { duplicate } from "../../../src/kernel/socket-io.js";
import { easyTerms, Guest, Pairs, openLot, parkOne } from "./support.js";

/** include/uapi/asm-generic/socket.h. */
const SO_SNDBUF = 7;

const beat = (number: number, more: Partial<Beat> = {}): Buffer =>
  encode({ type: "beat", number, sendEveryMs: 0, received: 0, payload: Buffer.alloc(0), ...more });
const data = (sequence: number): Buffer => encode({ type: "data", sequence, payload: Buffer.alloc(0) });
const answer = (number: number): Buffer =>
  encode({ type: "answer", number, sendEveryMs: 0, received: 7, payload: Buffer.alloc(0) });

/** All that a socket hears, as it comes. */
function hear(socket: Socket): () => Buffer {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk) => chunks.push(chunk));
  return () => Buffer.concat(chunks);
}

describe("the lot", { timeout: 60_000 }, () => {
  let lot: Lot;
  let pairs: Pairs;

  before(async () => {
    lot = await openLot();
    pairs = await Pairs.open();
  });
  after(async () => {
    await pairs[Symbol.asyncDispose]();
    await until(() => lot.parked === 0);
    await lot.close();
  });

  test("answers beats, one and many at once, with what was received, and keeps the session", async () => {
    const { client, guest, place } = await parkOne(lot, pairs);
    const heard = hear(client);
    const from = performance.now();
    client.write(beat(1));
    await until(() => heard().length === 20);
    client.write(Buffer.concat([beat(2), beat(3), beat(4)]));
    await until(() => heard().length === 80);
    assert.deepEqual(heard(), Buffer.concat([1, 2, 3, 4].map(answer)));
    assert.equal(guest.back, null);
    const heardMs = place.shift.heardMs(place.slot);
    assert.ok(heardMs >= from && heardMs <= performance.now(), "one clock for both threads");
    place.shift.recall(place.slot);
    const { back } = await guest.returned();
    assert.equal(back.why, "recalled");
    assert.equal(back.heardMs, heardMs);
    client.destroy();
  });

  for (const [what, bytes] of [
    ["data", encode({ type: "data", sequence: 1, payload: Buffer.from("hello") })],
    ["half a beat", beat(1).subarray(0, 11)],
    ["a beat and a half", Buffer.concat([beat(1), beat(2).subarray(0, 3)])],
    ["a beat with a payload", beat(1, { payload: Buffer.from("x") })],
    ["another interval", beat(1, { sendEveryMs: 5 })],
    ["an acknowledgement in a beat", beat(1, { received: 1 })],
    ["garbage", Buffer.from("GET / HTTP/1.1\r\n\r\n")],
  ] as const)
    test(`hands back ${what}, with the bytes, and answers nothing`, async () => {
      const { client, guest } = await parkOne(lot, pairs);
      const heard = hear(client);
      client.write(bytes);
      const { back, socket } = await guest.returned();
      assert.equal(back.why, "arrived");
      assert.deepEqual(Buffer.from(back.bytes ?? []), bytes);
      const rest = once(socket, "data") as Promise<[Buffer]>;
      client.write("more");
      assert.equal((await rest)[0].toString(), "more");
      assert.equal(heard().length, 0);
      socket.destroy();
    });

  test("hands back who beats too fast", async () => {
    const { client, guest } = await parkOne(lot, pairs, { paidMs: performance.now() + 60_000 });
    client.write(beat(1));
    const { back, socket } = await guest.returned();
    assert.equal(back.why, "arrived");
    assert.deepEqual(Buffer.from(back.bytes ?? []), beat(1));
    socket.destroy();
  });

  test("hands back at the peer's end, and the end can be read", async () => {
    const { client, guest } = await parkOne(lot, pairs);
    client.end();
    const { back, socket } = await guest.returned();
    assert.deepEqual([back.why, back.bytes, back.failed], ["ended", null, null]);
    socket.resume();
    await once(socket, "end");
    socket.destroy();
  });

  test("hands back what came before the end, too", async () => {
    const { client, guest } = await parkOne(lot, pairs);
    client.end("last words");
    const { back, socket } = await guest.returned();
    // With the end already there, nothing is read any more.
    const chunks = back.bytes === null ? [] : [Buffer.from(back.bytes)];
    socket.on("data", (chunk) => chunks.push(chunk));
    await once(socket, "end");
    assert.equal(Buffer.concat(chunks).toString(), "last words");
    socket.destroy();
  });

  test("hands back a reset connection, and the reset is still known", async () => {
    const { client, guest } = await parkOne(lot, pairs);
    reset(client);
    const { back, socket } = await guest.returned();
    assert.equal(back.why, "ended");
    if (back.failed === null) {
      socket.resume();
      const [error] = (await once(socket, "error")) as [NodeJS.ErrnoException];
      assert.equal(error.code, "ECONNRESET");
    } else assert.equal(back.failed.errno, constants.errno.ECONNRESET);
    socket.destroy();
  });

  test("hands back who is silent for longer than its patience, and beats lengthen it", async () => {
    const from = performance.now();
    const silent = await parkOne(lot, pairs, { heardMs: from, patienceMs: 200 });
    const talking = await parkOne(lot, pairs, { heardMs: from, patienceMs: 200 });
    const timer = setInterval(() => talking.client.write(beat(1)), 20);
    const { back, socket } = await silent.guest.returned();
    const tookMs = performance.now() - from;
    assert.equal(back.why, "due");
    assert.ok(tookMs >= 199 && tookMs < 1_000, `${tookMs} ms`);
    assert.equal(talking.guest.back, null);
    clearInterval(timer);
    assert.equal((await talking.guest.returned()).back.why, "due");
    socket.destroy();
    talking.client.destroy();
  });

  test("hands back who takes no answers, with the part that is unsent", async () => {
    const generous = await openLot({ beatEveryMs: 1e-9 });
    const { client, guest, place, fd } = await parkOne(generous, pairs);
    // The least that the kernel allows; many beats at once have more answer than that holds.
    check(libc().setsockopt(fd, SOL_SOCKET, SO_SNDBUF, Buffer.alloc(4), 4), "setsockopt");
    client.pause();
    // Each when the one before has been read: a read of several may end in the middle of a beat.
    let written = 0;
    while (guest.back === null && written < 600_000) {
      const heardMs = place.shift.heardMs(place.slot);
      client.write(Buffer.concat(Array.from({ length: 100 }, () => beat(written + 1))));
      written += 100;
      await until(() => guest.back !== null || place.shift.heardMs(place.slot) > heardMs);
    }
    const { back, socket } = await guest.returned();
    assert.equal(back.why, "full");
    assert.ok((back.unsent?.length ?? 0) > 0);
    const heard = hear(client);
    client.resume();
    socket.write(back.unsent as Uint8Array);
    const unread = hear(socket);
    await until(() => heard().length + unread().length === written * 20);
    const numbers = Array.from({ length: heard().length / 20 }, (_, n) => 1 + Math.floor(n / 100) * 100);
    assert.deepEqual(heard(), Buffer.concat(numbers.map(answer)));
    socket.destroy();
    await generous.close();
  });

  test("a descriptor that was closed behind its back is given to nobody, though its number lives on", async () => {
    const { guest, place, fd } = await parkOne(lot, pairs);
    closeSync(fd);
    const others: number[] = [];
    // Until the number is used again.
    while (others.at(-1) !== fd) others.push(openSync("/dev/null", "r"));
    place.shift.recall(place.slot);
    await until(() => guest.back !== null);
    assert.equal(guest.back?.fd, null);
    for (const other of others) closeSync(other);
  });

  test("the same when the connection lives on under another number, and its peer speaks to it", async () => {
    // epoll goes by the open file and not by the number: what arrives for the old one is still told.
    const first = await parkOne(lot, pairs);
    first.client.write(beat(1));
    await once(first.client, "data");
    const { client, accepted } = await pairs.make();
    const elsewhere = duplicate(first.fd);
    closeSync(first.fd);
    const taken: number[] = [];
    let fd = duplicate(baseFd(accepted));
    while (fd < first.fd) {
      taken.push(fd);
      fd = duplicate(baseFd(accepted));
    }
    assert.equal(fd, first.fd);
    accepted.destroy();
    for (const number of taken) closeSync(number);
    const second = new Guest();
    assert.notEqual(lot.park(fd, second, easyTerms()), null);
    const heard = hear(client);
    for (let n = 1; n <= 20; n++) {
      first.client.write(data(n));
      client.write(beat(n));
    }
    await until(() => first.guest.back !== null);
    assert.deepEqual([first.guest.back?.fd, first.guest.back?.bytes], [null, null]);
    await until(() => heard().length === 20 * 20);
    assert.deepEqual(heard(), Buffer.concat(Array.from({ length: 20 }, (_, n) => answer(n + 1))));
    assert.deepEqual([second.back, lot.failures], [null, 0]);
    closeSync(elsewhere);
    first.client.destroy();
    client.destroy();
    const { socket } = await second.returned();
    socket.destroy();
  });

  test("the same when the number comes back to the lot", async () => {
    const first = await parkOne(lot, pairs);
    // It is in the worker's set.
    first.client.write(beat(1));
    await once(first.client, "data");
    const { client, accepted } = await pairs.make();
    // The kernel gives the lowest free number: whatever is free below has to be taken first.
    closeSync(first.fd);
    const taken: number[] = [];
    let fd = duplicate(baseFd(accepted));
    while (fd < first.fd) {
      taken.push(fd);
      fd = duplicate(baseFd(accepted));
    }
    assert.equal(fd, first.fd);
    accepted.destroy();
    for (const number of taken) closeSync(number);
    const second = new Guest();
    const place = lot.park(fd, second, easyTerms());
    assert.notEqual(place, null);
    await until(() => first.guest.back !== null);
    assert.equal(first.guest.back?.fd, null);
    const heard = hear(client);
    client.write(beat(9));
    await until(() => heard().length === 20);
    assert.equal(second.back, null);
    first.client.destroy();
    client.destroy();
    const { socket } = await second.returned();
    socket.destroy();
  });
});
