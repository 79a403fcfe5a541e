import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request, type RequestOptions } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { describe, test } from "node:test";
import { createAgent, createHttpsAgent, type KeepAliveAgentOptions } from "../../../src/http/index.js";
import { selfSigned } from "../../support/certificate.js";
import { get } from "../../support/http-get.js";
import { end, ok, reset, scriptedServer, type ScriptedRequest } from "../../support/scripted-http.js";

const closesReused = ({ connection, index, socket }: ScriptedRequest): string | null =>
  connection > 0 || index === 0 ? ok : reset(socket);

type Options = RequestOptions & { readonly body?: string | Uint8Array };

/** One request that makes the connection, and then the one in question; what the server saw of that one. */
async function second(
  options: Options,
  answer = closesReused,
  agentOptions: KeepAliveAgentOptions = {},
): Promise<{ text: string; bodies: string[]; heads: string[]; replayed: number }> {
  await using server = await scriptedServer(answer);
  const agent = createAgent(agentOptions);
  await get(server.origin, { agent });
  const text = await get(server.origin, { agent, ...options }).then(
    (answered) => answered.text,
    (error: NodeJS.ErrnoException) => error.code ?? String(error),
  );
  const { replayed } = agent.figures;
  agent.destroy();
  const asked = server.requests.slice(1);
  return { text, bodies: asked.map(({ body }) => body), heads: asked.map(({ head }) => head), replayed };
}

describe("a request of node:http whose reused connection the server had closed goes over a new one", () => {
  for (const method of ["GET", "OPTIONS", "PUT", "DELETE"])
    test(method, async () => {
      const { text, bodies, heads } = await second({ method, headers: { "x-test": "1" } });
      assert.equal(text, "ok");
      assert.equal(bodies.length, 2);
      assert.equal(heads[0], heads[1]);
      assert.match(heads[1] ?? "", /^x-test: 1$/im);
    });

  test("HEAD", async () => {
    const { text, heads } = await second({ method: "HEAD" }, ({ connection, index, method, socket }) => {
      if (method === "GET") return ok;
      return connection > 0 || index === 0 ? "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" : reset(socket);
    });
    assert.equal(text, "");
    assert.equal(heads.length, 2);
  });

  test("PUT with a body, text or bytes, with its length or in chunks", async () => {
    for (const body of ["größer", Buffer.from("größer")])
      for (const headers of [{}, { "transfer-encoding": "chunked" }]) {
        const { text, bodies } = await second({ method: "PUT", body, headers });
        assert.equal(text, "ok");
        assert.deepEqual(
          bodies.map((bytes) => Buffer.from(bytes, "latin1").toString()),
          ["größer", "größer"],
        );
      }
  });

  test("POST with an Idempotency-Key", async () => {
    const { text, bodies } = await second({
      method: "POST",
      body: "x",
      headers: { "Idempotency-Key": "1", "content-length": 1 },
    });
    assert.equal(text, "ok");
    assert.deepEqual(bodies, ["x", "x"]);
  });

  test("whose body is still being written", async () => {
    await using server = await scriptedServer(() => ok);
    const agent = createAgent();
    await get(server.origin, { agent });
    const put = request(server.origin, { agent, method: "PUT", headers: { "transfer-encoding": "chunked" } });
    put.write("a ");
    await once(put, "socket");
    server.connections[0]?.resetAndDestroy();
    const answered = once(put, "response");
    while (server.connections.length < 2) {
      put.write("b");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    put.end(" c");
    await once(put, "finish");
    const [response] = await answered;
    response.resume();
    assert.match(server.requests[1]?.body ?? "", /^a b+ c$/);
    agent.destroy();
  });

  test("with its timeout", async () => {
    await using server = await scriptedServer(({ connection, index, socket }) => {
      if (connection > 0) return null;
      return index === 0 ? ok : reset(socket);
    });
    const agent = createAgent();
    await get(server.origin, { agent });
    for (const options of [{ timeout: 300 }, {}]) {
      const late = request(server.origin, { agent, ...options });
      if (options.timeout === undefined) late.setTimeout(300);
      const closed = new Promise((resolve) => late.once("close", resolve));
      late.on("error", () => {});
      late.end();
      await once(late, "timeout");
      late.destroy();
      await closed;
    }
    agent.destroy();
  });

  test("over TLS and IPv6", async () => {
    const identity = selfSigned();
    await using server = await scriptedServer(closesReused, { tls: identity, host: "::1" });
    const agent = createHttpsAgent({ ca: identity.cert });
    for (let count = 0; count < 2; count++) assert.equal((await get(server.origin, { agent })).text, "ok");
    assert.deepEqual([agent.figures.stale, agent.figures.replayed], [1, 1]);
    agent.destroy();
  });

  test("the hundredth as the first, and each answers once", async () => {
    await using server = await scriptedServer(({ index, socket }) => (index === 0 ? ok : reset(socket)));
    const agent = createAgent({ maxSockets: 1 });
    for (let count = 0; count < 100; count++) assert.equal((await get(server.origin, { agent })).text, "ok");
    assert.equal(server.connections.length, 100);
    agent.destroy();
  });

  test("that has waited for its socket, and got it at once from another request", async () => {
    await using server = await scriptedServer(closesReused);
    const agent = createAgent({ maxSockets: 1 });
    const options = { agent, method: "PUT", body: "a body" };
    const answers = await Promise.all([get(server.origin, { agent }), get(server.origin, options)]);
    assert.deepEqual(
      answers.map(({ text }) => text),
      ["ok", "ok"],
    );
    assert.deepEqual(
      server.requests.map(({ connection, body }) => [connection, body]),
      [
        [0, ""],
        [0, "a body"],
        [1, "a body"],
      ],
    );
    assert.equal(agent.figures.replayed, 1);
    agent.destroy();
  });

  test("with its events as if it had been sent once", async () => {
    await using server = await scriptedServer(closesReused);
    const agent = createAgent();
    await get(server.origin, { agent });
    const asked = request(server.origin, { agent });
    const events: string[] = [];
    for (const event of ["error", "response", "finish", "close", "abort"])
      asked.on(event, () => events.push(event));
    asked.on("response", (response) => response.resume());
    asked.end();
    await once(asked, "close");
    assert.deepEqual(events, ["finish", "response", "close"]);
    agent.destroy();
  });
});

describe("a request of node:http is not sent again", () => {
  const cases: readonly (readonly [string, Options, number?])[] = [
    ["that is a POST", { method: "POST", body: "x" }],
    ["that is a PATCH", { method: "PATCH", body: "x" }],
    ["whose key is empty", { method: "POST", headers: { "idempotency-key": "" } }],
    ["of which too much was written to be kept", { method: "PUT", body: "x".repeat(70_000) }],
    ["where that is turned off", {}, 0],
  ];
  for (const [name, options, replays] of cases)
    test(name, async () => {
      const { text, bodies, replayed } = await second(
        options,
        closesReused,
        replays === 0 ? { replays } : {},
      );
      assert.match(text, /^(ECONNRESET|EPIPE)$/);
      assert.equal(bodies.length, 1);
      assert.equal(replayed, 0);
    });

  test("once a byte of the answer has come", async () => {
    const { text, bodies } = await second({}, ({ connection, index, socket }) =>
      connection > 0 || index === 0 ? ok : end(socket, "H"),
    );
    assert.equal(text, "ECONNRESET");
    assert.equal(bodies.length, 1);
  });

  test("after it was destroyed, whenever that is", async () => {
    await using server = await scriptedServer(({ index, socket }) => (index === 0 ? ok : reset(socket)));
    const agent = createAgent();
    for (const when of ["at once", "when it is sent", "while it waits for the next connection"]) {
      await get(server.origin, { agent });
      const asked = request(server.origin, { agent });
      const failed = once(asked, "error") as Promise<[Error]>;
      const closed = new Promise((resolve) => asked.once("close", resolve));
      asked.on("response", () => assert.fail("it was answered"));
      const destroy = (): unknown => asked.destroy(new Error("enough"));
      if (when === "at once") destroy();
      if (when === "when it is sent") asked.once("socket", () => asked.once("finish", destroy));
      if (when.startsWith("while")) asked.once("socket", () => asked.once("socket", destroy));
      asked.end();
      assert.match(String((await failed.catch((error: Error) => [error]))[0]), /enough|hang up/);
      await closed;
    }
    agent.destroy();
  });
});

describe("an agent", () => {
  test("does not use a connection whose end Node has not read yet", async () => {
    // The server closes while this process is busy: the FIN is in the kernel, and the event loop has not seen it.
    const server = createServer((_, response) => response.end("ok"));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    await using scripted = await scriptedServer(() => ok);
    const agent = createAgent();
    await get(scripted.origin, { agent });
    const until = performance.now() + 50;
    scripted.connections[0]?.end();
    await new Promise(setImmediate);
    while (performance.now() < until);
    // A POST would not be sent again.
    const { text } = await get(scripted.origin, { agent, method: "POST", body: "x" });
    assert.equal(text, "ok");
    assert.equal(agent.figures.stale, 0);
    agent.destroy();
    server.close();
  });

  test("streams, pipes and reuses as Node's does", async () => {
    const server = createServer((incoming, response) => void incoming.pipe(response));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const agent = createAgent({ maxSockets: 1 });
    for (let count = 0; count < 5; count++) {
      const asked = request(url, { agent, method: "POST" });
      Readable.from(["a", "b".repeat(200_000)]).pipe(asked);
      const [response] = await once(asked, "response");
      let length = 0;
      for await (const part of response) length += (part as Buffer).length;
      assert.equal(length, 200_001);
    }
    // Those that wait for the one socket get it in turns.
    await Promise.all(Array.from({ length: 20 }, () => get(url, { agent })));
    assert.equal(agent.figures.new, 1);
    agent.destroy();
    server.close();
  });

  test("gives an upgraded socket away", async () => {
    const server = createServer();
    server.on("upgrade", (_, socket) =>
      socket.end("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nbye"),
    );
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const agent = createAgent();
    const asked = request({
      port,
      host: "127.0.0.1",
      agent,
      headers: { connection: "upgrade", upgrade: "x" },
    });
    asked.end();
    const [, socket] = await once(asked, "upgrade");
    await once(socket.resume(), "end");
    agent.destroy();
    server.close();
  });
});
