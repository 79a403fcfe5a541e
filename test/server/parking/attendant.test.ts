import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, connect, type AddressInfo, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { listeningFd } from "../../../src/guard/inner-socket.js";
import { encode } from "../../../src/heartbeat/protocol/encode.js";
import { createEpoll, Epoll } from "../../../src/kernel/epoll.js";
import { createEventFd, ring } from "../../../src/kernel/event-fd.js";
import { closeFd, duplicate, receive } from "../../../src/kernel/socket-io.js";
import { Attendant } from "../../../src/server/parking/attendant.js";
import { type Handback, readArrival } from "../../../src/server/parking/handback.js";
import { order, Slots } from "../../../src/server/parking/slots.js";
import { reset } from "../../support/reset.js";
import { Pairs, takeFd } from "./support.js";

// The attendant in this thread, turn by turn: what another thread does in between is done here in the very middle of a turn.

const beat = encode({ type: "beat", number: 1, sendEveryMs: 0, received: 0, payload: Buffer.alloc(0) });

class Stage implements Disposable {
  readonly slots = new Slots(8);
  readonly back: Handback[] = [];
  readonly arrivals: number[] = [];
  /** What the owner does as soon as it is told that somebody leaves. */
  onLeave: (back: Handback) => void = () => {};
  readonly #epoll = createEpoll();
  readonly #bell = createEventFd();
  readonly set = new Epoll(this.#epoll.fd, 1);
  readonly #attendant = new Attendant({
    slots: this.slots,
    epoll: new Epoll(this.#epoll.fd, 16),
    bell: this.#bell.fd,
    beatEveryMs: 1e-6,
    handshakeMs: 60_000,
    mostGreeting: 8,
    now: () => performance.now(),
    handBack: (back) => {
      this.back.push(back);
      this.onLeave(back);
    },
    arrived: (arrivals) => this.arrivals.push(...arrivals),
  });

  /** A new tenant of a slot, whose descriptor is there already. */
  settle(slot: number, fd: number): void {
    const { slots } = this;
    slots.fd[slot] = fd;
    slots.heardMs[slot] = performance.now();
    slots.patienceMs[slot] = 600_000;
  }

  park(slot: number, fd: number): void {
    this.slots.generation[slot] = (this.slots.generation[slot] ?? 0) + 1;
    this.settle(slot, fd);
    this.slots.give(order.park, slot);
  }

  /** One that does not wait. */
  turn(): void {
    ring(this.#bell.fd);
    this.#attendant.turn();
  }

  [Symbol.dispose](): void {
    this.#epoll.close();
    this.#bell.close();
  }
}

/** Closes a descriptor, and gives its number to the socket that another one stands for, which is closed. */
function takeOverNumber(fd: number, of: number): void {
  closeFd(fd);
  const lower: number[] = [];
  let got = duplicate(of);
  while (got < fd) {
    lower.push(got);
    got = duplicate(of);
  }
  assert.equal(got, fd);
  for (const other of [of, ...lower]) closeFd(other);
}

describe("a descriptor's number that is used again at once", { timeout: 60_000 }, () => {
  let pairs: Pairs;
  before(async () => {
    pairs = await Pairs.open();
  });
  after(() => pairs[Symbol.asyncDispose]());

  /** What the kernel has told of the first tenant reaches the second one in the same turn: same slot, same number. */
  async function succeed(stage: Stage, first: { client: Socket; fd: number }): Promise<void> {
    const second = await pairs.make();
    const fd = takeFd(second.accepted);
    stage.onLeave = ({ slot }) => {
      stage.onLeave = () => {};
      takeOverNumber(first.fd, fd);
      stage.park(slot, first.fd);
    };
    stage.slots.give(order.recall, 0);
    reset(first.client);
    stage.turn();
    assert.deepEqual(
      stage.back.map(({ slot, generation, why }) => [slot, generation, why]),
      [[0, 1, "recalled"]],
      "the first one's end is nobody's",
    );
    const heard = once(second.client, "data") as Promise<[Buffer]>;
    second.client.write(beat);
    stage.turn();
    assert.equal((await heard)[0].length, beat.length, "the second one is answered");
    reset(second.client);
    stage.turn();
    assert.deepEqual(
      stage.back.slice(1).map(({ slot, generation, why }) => [slot, generation, why]),
      [[0, 2, "ended"]],
      "and has an end of its own",
    );
    closeFd(first.fd);
  }

  test("of a session that was parked", async () => {
    using stage = new Stage();
    const { client, accepted } = await pairs.make();
    const fd = takeFd(accepted);
    stage.park(0, fd);
    stage.turn();
    await succeed(stage, { client, fd });
  });

  for (const host of ["127.0.0.1", "::1"])
    test(`of a session that was accepted in the lot at ${host}`, async () => {
      using stage = new Stage();
      const { slots } = stage;
      const server = createServer().listen(0, host);
      await once(server, "listening");
      const { port } = server.address() as AddressInfo;
      // Nobody but the lot accepts.
      const listener = duplicate(listeningFd(server));
      server.close();
      slots.listeners[0] = listener;
      slots.generation[0] = 1;
      slots.fd[0] = -1;
      slots.give(order.grant, 0);
      slots.give(order.listen, 0);
      const client = connect({ port, host });
      client.on("error", () => {});
      await once(client, "connect");
      client.write("hello");
      for (let turns = 0; turns < 20 && stage.arrivals.length === 0; turns++) stage.turn();
      assert.deepEqual(stage.arrivals.map(readArrival), [{ slot: 0, kind: "heard" }]);
      const fd = slots.fd[0] ?? -1;
      assert.equal(receive(fd, Buffer.alloc(100)), 5);
      stage.settle(0, fd);
      slots.give(order.keep, 0);
      stage.set.again(fd, 0, 1);
      await succeed(stage, { client, fd });
      closeFd(listener);
    });
});
