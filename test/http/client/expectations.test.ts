import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { EventEmitter, once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import { createSecureServer } from "node:http2";
import type { AddressInfo, Server as NetServer } from "node:net";
import { Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { after, describe, test } from "node:test";
import {
  buildConnector,
  type Dispatcher,
  fetch,
  getGlobalDispatcher,
  request,
  setGlobalDispatcher,
  stream,
} from "undici";
import {
  createDispatcher,
  type DispatcherOptions,
  type KeepAliveDispatcher,
} from "../../../src/http/index.js";
import { selfSigned } from "../../support/certificate.js";
import { end, ok, reset, scriptedServer } from "../../support/scripted-http.js";
import { until } from "../../support/until.js";

// What undici's users may rely on in a dispatcher, held against this one.

async function origin(listener: RequestListener | Server): Promise<string> {
  const server = listener instanceof EventEmitter ? listener : createServer(listener);
  return `http://127.0.0.1:${await listening(server)}`;
}

async function listening(server: NetServer): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  after(() => server.close());
  return (server.address() as AddressInfo).port;
}

function dispatcherOf(options: DispatcherOptions = {}): KeepAliveDispatcher {
  const dispatcher = createDispatcher(options);
  after(() => dispatcher.destroy());
  return dispatcher;
}

/** Writes down which of its methods are called, in order. */
class Recorder {
  readonly calls: string[] = [];
  readonly done: Promise<Error | null>;
  abort: ((reason?: Error) => void) | null = null;
  #finish: (error: Error | null) => void = () => {};

  constructor() {
    this.done = new Promise((resolve) => {
      this.#finish = resolve;
    });
  }
  onConnect(abort: (reason?: Error) => void): void {
    this.calls.push("connect");
    this.abort = abort;
  }
  onHeaders(status: number): boolean {
    this.calls.push(`headers ${status}`);
    return true;
  }
  onData(chunk: Buffer): boolean {
    this.calls.push(`data ${chunk.toString()}`);
    return true;
  }
  onComplete(): void {
    this.calls.push("complete");
    this.#finish(null);
  }
  onError(error: Error): void {
    this.calls.push("error");
    this.#finish(error);
  }
}

const aborted = (error: unknown): boolean => (error as Error).name === "AbortError";

describe("handlers are called as by undici's own dispatchers", () => {
  test("once and in order", async () => {
    const handler = new Recorder();
    const url = await origin((_, response) => void response.end("a"));
    dispatcherOf().dispatch({ origin: url, path: "/", method: "GET" }, handler);
    assert.equal(await handler.done, null);
    assert.deepEqual(handler.calls, ["connect", "headers 200", "data a", "complete"]);
  });

  test("once and in order when the request is sent twice", async () => {
    await using server = await scriptedServer(({ connection, index, socket }) =>
      connection > 0 || index === 0 ? ok : reset(socket),
    );
    const dispatcher = dispatcherOf({ connections: 1 });
    for (let count = 0; count < 2; count++) {
      const handler = new Recorder();
      dispatcher.dispatch({ origin: server.origin, path: "/", method: "GET" }, handler);
      assert.equal(await handler.done, null);
      assert.deepEqual(handler.calls, ["connect", "headers 200", "data ok", "complete"]);
    }
    assert.equal(dispatcher.figures.replayed, 1);
  });

  test("of the newer kind too", async () => {
    const calls: string[] = [];
    const url = await origin((_, response) => {
      response.setHeader("x-test", "1");
      response.end("a");
    });
    await new Promise<void>((resolve, reject) => {
      const handler: Dispatcher.DispatchHandler = {
        onRequestStart: () => calls.push("start"),
        onResponseStart: (_, status, headers) =>
          calls.push(`response ${status} ${String(headers["x-test"])}`),
        onResponseData: (_, chunk) => calls.push(`data ${chunk.toString()}`),
        onResponseEnd: () => {
          calls.push("end");
          resolve();
        },
        onResponseError: (_, error) => reject(error),
      };
      dispatcherOf().dispatch({ origin: url, path: "/", method: "GET" }, handler);
    });
    assert.deepEqual(calls, ["start", "response 200 1", "data a", "end"]);
  });

  test("and handlers and options that are none are refused as by undici", async () => {
    const url = await origin((_, response) => void response.end());
    const dispatcher = dispatcherOf();
    const invalid = { code: "UND_ERR_INVALID_ARG" };
    const options = { origin: url, path: "/", method: "GET" } as const;
    assert.throws(() => dispatcher.dispatch(options, null as never), invalid);
    assert.throws(() => dispatcher.dispatch(options, {}), invalid);
    await assert.rejects(request(url, { dispatcher, method: "\n" as "GET" }), invalid);
    await assert.rejects(request(url, { dispatcher, body: 7 as never, method: "PUT" }), invalid);
  });

  test("errors thrown in a handler end the request", async () => {
    const url = await origin((_, response) => void response.end("a"));
    const handler = new (class extends Recorder {
      override onHeaders(): boolean {
        throw new Error("mine");
      }
    })();
    dispatcherOf().dispatch({ origin: url, path: "/", method: "GET" }, handler);
    assert.equal((await handler.done)?.message, "mine");
  });
});

describe("a request can be aborted", () => {
  test("before it is sent", async () => {
    const url = await origin((_, response) => void response.end());
    await assert.rejects(request(url, { dispatcher: dispatcherOf(), signal: AbortSignal.abort() }), aborted);
  });

  test("while it waits for the headers", async () => {
    const controller = new AbortController();
    const url = await origin(() => controller.abort());
    const dispatcher = dispatcherOf();
    await assert.rejects(request(url, { dispatcher, signal: controller.signal }), aborted);
    assert.equal(dispatcher.figures.replayed, 0);
  });

  test("on a reused connection, without being sent again", async () => {
    const controller = new AbortController();
    let asked = 0;
    const url = await origin((_, response) => {
      asked += 1;
      if (asked === 1) response.end();
      else controller.abort();
    });
    const dispatcher = dispatcherOf({ connections: 1 });
    await (await request(url, { dispatcher })).body.dump();
    await assert.rejects(request(url, { dispatcher, signal: controller.signal }), aborted);
    assert.equal(asked, 2);
    assert.deepEqual([dispatcher.figures.stale, dispatcher.figures.replayed], [0, 0]);
  });

  test("in mid-body", async () => {
    const controller = new AbortController();
    const url = await origin((_, response) => void response.write("a"));
    const { body } = await request(url, { dispatcher: dispatcherOf(), signal: controller.signal });
    body.once("data", () => controller.abort());
    await assert.rejects(body.text(), aborted);
  });

  test("while it waits to be sent again", async () => {
    // The second connection never comes about.
    let connections = 0;
    await using server = await scriptedServer(({ connection, index, socket }) =>
      connection === 0 && index === 0 ? ok : reset(socket),
    );
    const dispatcher = dispatcherOf({
      connections: 1,
      connect: (options, callback) => {
        connections += 1;
        if (connections === 1) connectPlain(options, callback);
      },
    });
    await (await request(server.origin, { dispatcher })).body.dump();
    const handler = new Recorder();
    dispatcher.dispatch({ origin: server.origin, path: "/", method: "GET" }, handler);
    await until(() => connections === 2);
    handler.abort?.(new Error("enough"));
    assert.equal((await handler.done)?.message, "enough");
    assert.deepEqual(handler.calls, ["connect", "error"]);
  });

  test("through fetch()", async () => {
    const controller = new AbortController();
    const url = await origin(() => controller.abort());
    await assert.rejects(fetch(url, { dispatcher: dispatcherOf(), signal: controller.signal }), aborted);
  });
});

describe("bodies flow", () => {
  test("in both directions, as streams, with back-pressure", async () => {
    const url = await origin((incoming, response) => void incoming.pipe(response));
    let given = 0;
    const chunk = Buffer.alloc(65_536, "x");
    const source = new Readable({
      read() {
        given += 1;
        this.push(given > 400 ? null : chunk);
      },
    });
    const { body } = await request(url, { dispatcher: dispatcherOf(), method: "POST", body: source });
    // Nobody reads yet: buffers of sockets fill, and then the source is left alone.
    let before = -1;
    while (before !== given) {
      before = given;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    assert.ok(given < 400, `${given} chunks were taken`);
    let bytes = 0;
    for await (const part of body) bytes += (part as Buffer).length;
    assert.equal(bytes, 400 * chunk.length);
  });

  test("into a stream of the caller's", async () => {
    const url = await origin((_, response) => void response.end("abc"));
    const chunks: Buffer[] = [];
    await stream(url, { dispatcher: dispatcherOf(), method: "GET" }, () => {
      return new Writable({
        write(part: Buffer, _, done) {
          chunks.push(part);
          done();
        },
      });
    });
    assert.equal(Buffer.concat(chunks).toString(), "abc");
  });

  test("through a pipeline", async () => {
    const url = await origin((incoming, response) => void incoming.pipe(response));
    const duplex = dispatcherOf().pipeline({ origin: url, path: "/", method: "PUT" }, ({ body }) => body);
    let text = "";
    await pipeline(Readable.from(["a", "b"]), duplex, async (parts) => {
      for await (const part of parts) text += String(part);
    });
    assert.equal(text, "ab");
  });

  test("with trailers", async () => {
    const url = await origin((_, response) => {
      response.writeHead(200, { trailer: "x-sum" });
      response.write("a");
      response.addTrailers({ "x-sum": "1" });
      response.end();
    });
    const { body, trailers } = await request(url, { dispatcher: dispatcherOf() });
    await body.text();
    assert.deepEqual({ ...trailers }, { "x-sum": "1" });
  });

  test("an error of the body's stream ends the request, unrepeated", async () => {
    const url = await origin((incoming) => void incoming.resume());
    const dispatcher = dispatcherOf();
    const body = new Readable({
      read() {
        this.destroy(new Error("no more"));
      },
    });
    await assert.rejects(request(url, { dispatcher, method: "PUT", body }), /no more/);
    assert.equal(dispatcher.figures.replayed, 0);
  });
});

describe("connections change hands", () => {
  test("by an upgrade", async () => {
    const server = createServer();
    server.on("upgrade", (_, socket) => {
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
      socket.pipe(socket);
    });
    const url = await origin(server);
    const { socket, headers } = await dispatcherOf().upgrade({
      origin: url,
      path: "/",
      protocol: "echo",
    } as Dispatcher.UpgradeOptions);
    assert.equal(headers["upgrade"], "echo");
    socket.end("hello");
    assert.equal(await textOf(socket), "hello");
  });

  test("by CONNECT", async () => {
    const server = createServer();
    server.on("connect", (_, socket) => {
      socket.write("HTTP/1.1 200 Connected\r\n\r\n");
      socket.pipe(socket);
    });
    const url = await origin(server);
    const { socket } = await dispatcherOf().connect({ origin: url, path: "example.com:443" });
    socket.end("hello");
    assert.equal(await textOf(socket), "hello");
  });
});

describe("HTTP/2", () => {
  const identity = selfSigned();
  test("is spoken where it is allowed", async () => {
    const server = createSecureServer(identity, (incoming, response) =>
      response.end(`${incoming.httpVersion} ${incoming.url}`),
    );
    const url = `https://127.0.0.1:${await listening(server)}`;
    const dispatcher = dispatcherOf({ allowH2: true, connections: 1, connect: { ca: identity.cert } });
    for (let count = 0; count < 5; count++)
      assert.equal(await (await request(`${url}/${count}`, { dispatcher })).body.text(), `2.0 /${count}`);
    const { figures } = dispatcher;
    assert.deepEqual([figures.new, figures.reused, figures.expired], [1, 4, 0]);
    await dispatcher.destroy();
  });

  test("goes on over a new session when the server has ended the old one", async () => {
    const server = createSecureServer(identity, (_, response) => response.end("ok"));
    const sessions: { destroy(): void }[] = [];
    server.on("session", (session) => sessions.push(session));
    const url = `https://127.0.0.1:${await listening(server)}`;
    const dispatcher = dispatcherOf({ allowH2: true, connections: 1, connect: { ca: identity.cert } });
    for (let count = 0; count < 10; count++) {
      assert.equal(await (await request(url, { dispatcher })).body.text(), "ok");
      // The next request may meet the end of it in any stage.
      sessions.at(-1)?.destroy();
    }
    await dispatcher.destroy();
  });
});

describe("a dispatcher ends", () => {
  test("in order, when what runs is done", async () => {
    const url = await origin((_, response) => void setTimeout(() => response.end("late"), 100));
    const dispatcher = createDispatcher();
    const running = request(url, { dispatcher });
    const closed = dispatcher.close();
    await assert.rejects(request(url, { dispatcher }), { code: "UND_ERR_CLOSED" });
    assert.equal(await (await running).body.text(), "late");
    await closed;
    assert.equal(dispatcher.destroyed, true);
  });

  test("at once, with an error for what runs", async () => {
    const url = await origin(() => {});
    const dispatcher = createDispatcher();
    const running = request(url, { dispatcher });
    await once(dispatcher, "connect");
    await Promise.all([assert.rejects(running, { code: "UND_ERR_DESTROYED" }), dispatcher.destroy()]);
    await assert.rejects(request(url, { dispatcher }), { code: "UND_ERR_DESTROYED" });
  });

  test("while a request waits to be sent again", async () => {
    let connections = 0;
    await using server = await scriptedServer(({ index, socket }) => (index === 0 ? ok : reset(socket)));
    const dispatcher = createDispatcher({
      connections: 1,
      connect: (options, callback) => {
        connections += 1;
        if (connections === 1) connectPlain(options, callback);
      },
    });
    await (await request(server.origin, { dispatcher })).body.dump();
    const running = request(server.origin, { dispatcher });
    await Promise.all([
      assert.rejects(running, { code: "UND_ERR_DESTROYED" }),
      until(() => connections === 2).then(() => dispatcher.destroy()),
    ]);
  });

  test("tells of its connections as undici's agent does", async () => {
    await using server = await scriptedServer(({ connection, index, socket }) =>
      connection > 0 || index === 0 ? ok : end(socket),
    );
    const dispatcher = createDispatcher({ connections: 1 });
    const events: string[] = [];
    for (const event of ["connect", "disconnect"] as const)
      dispatcher.on(event as "connect", (url, targets) =>
        events.push(`${event} ${url.origin} ${targets.length}`),
      );
    for (let count = 0; count < 2; count++) await (await request(server.origin, { dispatcher })).body.dump();
    await dispatcher.close();
    const at = (event: string): string => `${event} ${server.origin} 3`;
    assert.deepEqual(events, [at("connect"), at("disconnect"), at("connect"), at("disconnect")]);
  });
});

test("it serves as the global dispatcher, and under fetch() with redirects", async () => {
  const url = await origin((incoming, response) => {
    if (incoming.url === "/") response.writeHead(302, { location: "/there" }).end();
    else response.end("here");
  });
  const before = getGlobalDispatcher();
  const dispatcher = dispatcherOf();
  setGlobalDispatcher(dispatcher);
  try {
    assert.equal(await (await fetch(url)).text(), "here");
    assert.equal(await (await globalThis.fetch(url)).text(), "here");
  } finally {
    setGlobalDispatcher(before);
  }
  const { figures } = dispatcher;
  assert.equal(figures.new + figures.reused, 4);
});

const connectPlain = buildConnector({});

async function textOf(readable: AsyncIterable<unknown>): Promise<string> {
  let text = "";
  for await (const part of readable) text += String(part);
  return text;
}
