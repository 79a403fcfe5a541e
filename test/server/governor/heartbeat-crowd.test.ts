import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, isIPv6, type Server, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { encode } from "../../../src/heartbeat/protocol/encode.js";
import { StreamReader } from "../../../src/heartbeat/protocol/stream-reader.js";
import { type Governor, governServer, HeartbeatServer } from "../../../src/server/index.js";
import { needsNamespaces } from "../../support/namespaces.js";
import { enterOwnNetwork } from "../../support/own-network.js";
import { until } from "../../support/until.js";
import { plainHello } from "../raw-client.js";

/** Of each address. */
const each = 100;
const beatEveryMs = 2_000;
const watchedMs = 6_000;

/** 25 over each family; of IPv6 each with a network of its own, for that is what is counted. */
const addresses = [
  ...Array.from({ length: 25 }, (_, index) => `127.0.${index + 1}.1`),
  ...Array.from({ length: 25 }, (_, index) => `fd77:${(index + 1).toString(16)}::1`),
];
const greedy = [addresses[0], addresses[25]].map(String);

/** A client that says hello, and beats when it is told to. */
class Client {
  readonly from: string;
  greeted = false;
  closed = false;
  beats = 0;
  answers = 0;
  /** The longest that an answer was waited for. */
  longestMs = 0;
  #sentMs = 0;
  readonly #socket: Socket;
  readonly #reader = new StreamReader({ mayRefuse: true });

  constructor(port: number, from: string) {
    this.from = from;
    const host = isIPv6(from) ? "::1" : "127.0.0.1";
    this.#socket = connect({ port, host, localAddress: from });
    this.#socket.on("connect", () => this.#socket.write(hello));
    this.#socket.on("error", () => {});
    this.#socket.on("close", () => {
      this.closed = true;
    });
    this.#socket.on("data", (chunk) =>
      this.#reader.push(chunk, ({ type }) => {
        if (type === "hello") this.greeted = true;
        if (type !== "answer") return;
        this.answers++;
        this.longestMs = Math.max(this.longestMs, performance.now() - this.#sentMs);
      }),
    );
  }

  beat(): void {
    this.#sentMs = performance.now();
    const nothing = new Uint8Array();
    const beat = { number: this.beats++, sendEveryMs: beatEveryMs, received: 0, payload: nothing };
    this.#socket.write(encode({ ...beat, type: "beat" }));
  }

  hangUp(): void {
    this.#socket.destroy();
  }
}

const hello = encode({ ...plainHello, sendEveryMs: beatEveryMs });

describe("a heartbeat server that a governor holds, among 5000 sessions of 50 addresses", {
  timeout: 60_000,
  skip: needsNamespaces,
}, () => {
  let network: Disposable;
  let heartbeats: HeartbeatServer;
  let server: Server;
  let governor: Governor;
  let port: number;
  const clients: Client[] = [];
  const rejected: Client[] = [];

  before(async () => {
    network = enterOwnNetwork(addresses.filter(isIPv6));
    heartbeats = new HeartbeatServer({ tcp: null });
    server = createServer((socket) => heartbeats.accept(socket));
    governor = governServer(server, { detect: "1m", firstByte: "10s", perClient: each, total: 6_000 });
    server.listen({ port: 0, host: "::", backlog: 4_096 });
    await once(server, "listening");
    ({ port } = server.address() as AddressInfo);
  });
  after(async () => {
    for (const client of [...clients, ...rejected]) client.hangUp();
    server.close();
    await heartbeats.close();
    governor.close();
    network[Symbol.dispose]();
  });

  test("each address gets its hundred, and the greedy ones no more, however often they try", async () => {
    for (let n = 0; n < each; n++) {
      for (const from of addresses) clients.push(new Client(port, from));
      await until(() => clients.every(({ greeted }) => greeted));
    }
    assert.equal(heartbeats.sessionCount, 5_000);

    let ended = 0;
    heartbeats.on("end", () => ended++);
    heartbeats.on("offline", () => ended++);
    heartbeats.on("suspect", () => ended++);
    // Spread evenly, as so many clients are.
    let turn = 0;
    const beating = setInterval(() => {
      for (let n = 0; n < clients.length / (beatEveryMs / 20); n++) clients[turn++ % clients.length]?.beat();
    }, 20);
    try {
      const untilMs = performance.now() + watchedMs;
      while (performance.now() < untilMs) {
        const trying = greedy.flatMap((from) => Array.from({ length: 25 }, () => new Client(port, from)));
        rejected.push(...trying);
        await until(() => trying.every(({ closed }) => closed));
      }
      await until(() => clients.every(({ beats }) => beats >= 2));
    } finally {
      clearInterval(beating);
    }
    await until(() => clients.every(({ answers, beats }) => answers === beats));

    assert.ok(rejected.length > 100);
    assert.ok(rejected.every(({ greeted }) => !greeted));
    assert.equal(governor.snapshot().refused["per-client"], rejected.length);
    assert.deepEqual([governor.size, heartbeats.sessionCount, ended], [5_000, 5_000, 0]);
    assert.ok(clients.every(({ closed }) => !closed));
    const held = new Map<string, number>();
    for (const { client } of governor.connections()) held.set(client, (held.get(client) ?? 0) + 1);
    assert.deepEqual([held.size, ...new Set(held.values())], [50, each]);
    // Far below what a client waits for an answer.
    const longest = Math.max(...clients.map(({ longestMs }) => longestMs));
    assert.ok(longest < 5_000, `an answer took ${longest} ms`);
  });
});
