import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { parseGreeting } from "../../../src/heartbeat/echo/lines.js";
import { EchoServer } from "../../../src/server/echo/echo-server.js";

/** One connection, its lines one by one. */
class Client {
  readonly socket: Socket;
  readonly #lines: AsyncIterator<string>;
  id = "";

  constructor(port: number) {
    this.socket = connect({ host: "127.0.0.1", port });
    this.socket.on("error", () => {});
    this.#lines = createInterface({ input: this.socket })[Symbol.asyncIterator]();
  }

  static async greeted(port: number): Promise<Client> {
    const client = new Client(port);
    const greeting = parseGreeting((await client.line()) ?? "");
    assert.ok(greeting !== null);
    assert.deepEqual([greeting.address, greeting.port], ["127.0.0.1", client.socket.localPort]);
    client.id = greeting.id;
    return client;
  }

  async line(): Promise<string | null> {
    // A reset is an end, too.
    const { done, value } = await this.#lines.next().catch(() => ({ done: true, value: "" }));
    return done === true ? null : value;
  }

  async ask(line: string): Promise<string | null> {
    this.socket.write(`${line}\n`);
    return this.line();
  }
}

describe("the echo server", () => {
  let server: EchoServer;
  let port: number;
  const clients: Client[] = [];
  before(async () => {
    server = await EchoServer.listen({ port: 0, address: null });
    ({ port } = server.address);
  });
  after(async () => {
    for (const { socket } of clients) socket.destroy();
    await server[Symbol.asyncDispose]();
  });
  const client = async (): Promise<Client> => {
    const one = await Client.greeted(port);
    clients.push(one);
    return one;
  };

  test("lets go of one that goes on talking after the goodbye", { timeout: 30_000 }, async () => {
    const talker = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
    talker.on("error", () => {}).resume();
    const closed = new Promise((resolve) => talker.on("close", resolve));
    talker.write("z".repeat(400));
    const talking = setInterval(() => talker.write("z"), 200);
    await closed;
    clearInterval(talking);
  });

  test("answers pings, and counts what its kernel received", async () => {
    const one = await client();
    assert.equal(await one.ask("ping"), "pong");
    assert.equal(await one.ask("ping 17"), "pong 17");
    const count = async (): Promise<number> => Number((await one.ask("segments"))?.split(" ")[1]);
    const first = await count();
    assert.ok((await count()) > first && first >= 3, String(first));
  });

  test("a lane speaks when its control connection says so, and nobody else's", async () => {
    const [control, lane, stranger] = [await client(), await client(), await client()];
    assert.equal(await control.ask("control"), "ok");
    assert.equal(await stranger.ask("control"), "ok");
    assert.equal(await lane.ask(`lane ${control.id}`), "ok");
    assert.equal(await stranger.ask(`speak ${lane.id}`), `unknown ${lane.id}`);
    assert.equal(await control.ask(`speak ${lane.id}`), `spoke ${lane.id}`);
    assert.equal(await lane.line(), "spoken");
    assert.equal(await control.ask(`look ${lane.id}`), `open ${lane.id}`);
    lane.socket.resetAndDestroy();
    // The reset overtakes no answer that is asked for after it has arrived.
    while ((await control.ask(`look ${lane.id}`)) !== `reset ${lane.id}`);
    assert.equal(await control.ask(`drop ${lane.id}`), `dropped ${lane.id}`);
    assert.equal(await control.ask(`look ${lane.id}`), `unknown ${lane.id}`);
  });

  test("with the control connection its lanes end", async () => {
    const [control, lane] = [await client(), await client()];
    await control.ask("control");
    await lane.ask(`lane ${control.id}`);
    control.socket.destroy();
    assert.equal(await lane.line(), null);
  });

  test("what makes no sense is said to, and not for ever", async () => {
    const one = await client();
    for (const line of [
      "",
      "GET / HTTP/1.1",
      "speak x",
      "lane x",
      "lane",
      `lane ${one.id}`,
      "\u0000",
      "sing",
      "ping?",
    ])
      assert.match((await one.ask(line)) ?? "", /^\? /, line);
    assert.equal(await one.ask("more"), "bye too many mistakes");
    assert.equal(await one.line(), null);
    const other = await client();
    other.socket.write("x".repeat(1_000));
    assert.equal(await other.line(), "bye line too long");
  });

  test("who asks and does not listen is not read from", async () => {
    const one = await client();
    one.socket.pause();
    let taken = 0;
    // Some tens of megabytes at most fit into the kernel's buffers; here it would be a gigabyte.
    for (; taken < 10_000 && one.socket.writableLength < 2 ** 24; taken++) {
      one.socket.write("ping of some length\n".repeat(5_000));
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.ok(one.socket.writableLength >= 2 ** 24);
    one.socket.destroy();
  });

  test("connections beyond the limit are closed, and the others go on", async () => {
    await using small = await EchoServer.listen({ port: 0, address: "127.0.0.1", mostConnections: 2 });
    const inside = [await Client.greeted(small.address.port), await Client.greeted(small.address.port)];
    const outside = new Client(small.address.port);
    assert.equal(await outside.line(), null);
    for (const one of inside) assert.equal(await one.ask("ping"), "pong");
    for (const one of inside) one.socket.destroy();
  });

  test("at the end it says goodbye", async () => {
    const closing = await EchoServer.listen({ port: 0, address: "::1" });
    const socket = connect({ host: "::1", port: closing.address.port });
    const lines: string[] = [];
    createInterface({ input: socket }).on("line", (line) => lines.push(line));
    await once(socket, "data");
    await closing[Symbol.asyncDispose]();
    assert.equal(lines.at(-1), "bye shutdown");
  });

  test("a port in use, an address of somebody else", async () => {
    await assert.rejects(EchoServer.listen({ port, address: null }), {
      code: "bad-option",
      message: /is in use/,
    });
    await assert.rejects(EchoServer.listen({ port: 0, address: "192.0.2.1" }), { code: "bad-address" });
  });
});
