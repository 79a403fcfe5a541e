import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { type AddressInfo, connect, createServer, Socket } from "node:net";
import { describe, test } from "node:test";
import { systemClock } from "../../../src/kernel/clock.js";
import { closeFd, receive } from "../../../src/kernel/socket-io.js";
import type { ArrivalKind } from "../../../src/server/parking/handback.js";
import { Lot, type LotOptions } from "../../../src/server/parking/lot.js";
import type { Reception, Shift } from "../../../src/server/parking/shift.js";
import { StreamDoor } from "../../../src/server/parking/stream-door.js";
import { until } from "../../support/until.js";
import { easyTerms, Guest } from "./support.js";

/** Notes who comes, and by which way. */
class Hall implements Reception {
  readonly handshakeMs: number;
  readonly mostGreeting = 100;
  readonly came: string[] = [];
  readonly sockets: Socket[] = [];

  constructor(handshakeMs = 60_000) {
    this.handshakeMs = handshakeMs;
  }

  arrived(shift: Shift, slot: number, kind: ArrivalKind): void {
    this.came.push(kind);
    const fd = shift.release(slot);
    if (fd >= 0) closeFd(fd);
  }

  stranded(fd: number): void {
    this.came.push("stranded");
    this.sockets.push(new Socket({ fd }));
  }
}

/** Keeps who comes. */
class Inn extends Hall {
  readonly guests: { readonly shift: Shift; readonly slot: number; readonly guest: Guest }[] = [];

  override arrived(shift: Shift, slot: number): void {
    receive(shift.fd(slot), Buffer.alloc(100));
    const guest = new Guest();
    if (shift.keep(slot, guest, easyTerms())) this.guests.push({ shift, slot, guest });
  }
}

async function doorOf(
  hall: Hall,
  options: Partial<LotOptions> = {},
): Promise<{ lot: Lot; door: StreamDoor; port: number }> {
  const server = createServer((socket) => met(socket)).listen(0, "127.0.0.1");
  const met = (socket: Socket): void => {
    hall.came.push("Node's");
    hall.sockets.push(socket);
  };
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const lot: Lot = new Lot({
    clock: systemClock,
    capacity: 1_000,
    beatEveryMs: 1,
    reception: hall,
    onOpen: () => door?.toLot(),
    onShut: () => void door?.toNode(),
    ...options,
  });
  const door = StreamDoor.of(server, {
    lot,
    streamOptions: {},
    backlog: 100,
    onSocket: met,
    onError: (error) => assert.fail(error),
  });
  assert.ok(door !== null);
  return { lot, door, port };
}

const client = async (port: number): Promise<Socket> => {
  const socket = connect({ port, host: "127.0.0.1" });
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
};

describe("a door between Node and the lot", { timeout: 60_000 }, () => {
  test("Node accepts until the lot is open, and the lot from then on", async () => {
    const hall = new Hall();
    const { lot, door, port } = await doorOf(hall);
    const first = await client(port);
    await until(() => hall.came.length === 1);
    await until(() => lot.open && door.atLot);
    const second = await client(port);
    second.write("something");
    await until(() => hall.came.length === 2);
    assert.deepEqual(hall.came, ["Node's", "heard"]);
    await door.close();
    await assert.rejects(client(port));
    await lot.close();
    for (const socket of [first, second, ...hall.sockets]) socket.destroy();
  });

  test("who says nothing is overdue, and who ends is heard", async () => {
    const hall = new Hall(200);
    const { lot, door, port } = await doorOf(hall);
    await until(() => lot.open && door.atLot);
    const silent = await client(port);
    await until(() => lot.greeting === 1);
    const ended = once(silent, "close");
    silent.resume();
    const atMs = performance.now();
    await ended;
    assert.ok(performance.now() - atMs > 100);
    (await client(port)).resetAndDestroy();
    await until(() => hall.came.length === 2);
    assert.deepEqual(hall.came, ["overdue", "heard"]);
    assert.equal(lot.greeting, 0);
    await door.close();
    await lot.close();
  });

  for (const workers of [1, 3])
    test(`who comes when all slots of ${workers} are taken waits in the kernel, and is accepted when one is free`, async () => {
      const inn = new Inn();
      const capacity = 2;
      const { lot, door, port } = await doorOf(inn, { capacity, workers });
      await until(() => lot.open && door.atLot);
      const clients: Socket[] = [];
      for (let n = 0; n < capacity * workers + 3; n++) {
        const socket = await client(port);
        socket.write("something");
        clients.push(socket);
        await until(() => inn.guests.length === Math.min(clients.length, capacity * workers));
      }
      for (let left = 0; left < 3; left++) {
        const { shift, slot, guest } = inn.guests[left] as (typeof inn.guests)[0];
        shift.recall(slot);
        (await guest.returned()).socket.destroy();
        await until(() => inn.guests.length === capacity * workers + left + 1);
      }
      await door.close();
      await lot.close();
      for (const { guest } of inn.guests.slice(3)) (await guest.returned()).socket.destroy();
      for (const socket of clients) socket.destroy();
    });

  test("when a worker fails its guests are taken over, and Node accepts, again and again", async () => {
    const before = readdirSync("/proc/self/fd").length;
    const hall = new Hall();
    const worker = new URL("workers/crashing-porter.js", import.meta.url);
    const { lot, door, port } = await doorOf(hall, { worker });
    await until(() => lot.open && door.atLot);
    const clients: Socket[] = [];
    for (let failures = 1; failures <= 3; failures++) {
      clients.push(await client(port));
      // With the third failure within a minute no other is started.
      await until(() => lot.failures === failures && (failures === 3 || (lot.open && door.atLot)));
    }
    assert.deepEqual(hall.came, ["stranded", "stranded", "stranded"]);
    await until(() => !door.atLot);
    clients.push(await client(port));
    await until(() => hall.came.length === 4);
    assert.equal(hall.came[3], "Node's");
    for (const [n, socket] of hall.sockets.entries()) {
      const said = once(clients[n] as Socket, "data") as Promise<[Buffer]>;
      socket.write(`you are ${n}`);
      assert.equal((await said)[0].toString(), `you are ${n}`);
    }
    for (const socket of [...clients, ...hall.sockets]) socket.destroy();
    await door.close();
    await lot.close();
    await until(() => readdirSync("/proc/self/fd").length <= before + 3);
  });
});
