import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { describe, test } from "node:test";
import { type Dispatcher, fetch, request } from "undici";
import {
  bodyFrom,
  createDispatcher,
  type DispatcherOptions,
  type KeepAliveDispatcher,
} from "../../../src/http/index.js";
import { selfSigned } from "../../support/certificate.js";
import {
  end,
  ok,
  reset,
  scriptedServer,
  type ScriptedRequest,
  type ScriptedServer,
} from "../../support/scripted-http.js";

/** Answers the first request of the first connection, and closes it at the second, as a server whose time is up does. */
const closesReused = ({ connection, index, socket }: ScriptedRequest): string | null =>
  connection > 0 || index === 0 ? ok : reset(socket);

interface Tried {
  /** The methods that reached the server. */
  readonly methods: string[];
  readonly bodies: string[];
  readonly connections: number;
  readonly error: string | undefined;
  readonly text: string | undefined;
  readonly figures: KeepAliveDispatcher["figures"];
}

/** One request that makes the connection, and then the one in question. */
async function second(
  ask: (origin: string, dispatcher: Dispatcher) => Promise<{ text(): Promise<string> }>,
  options: DispatcherOptions = {},
  answer: (request: ScriptedRequest) => string | null = closesReused,
  server: Promise<ScriptedServer> = scriptedServer(answer),
): Promise<Tried> {
  await using running = await server;
  const { origin, requests, connections } = running;
  const dispatcher = createDispatcher({
    connections: 1,
    connect: { rejectUnauthorized: false },
    ...options,
  });
  await (await request(origin, { dispatcher })).body.text();
  let error: string | undefined;
  let text: string | undefined;
  try {
    text = await (await ask(origin, dispatcher)).text();
  } catch (problem) {
    const { code, cause } = problem as NodeJS.ErrnoException;
    error = code ?? (cause as NodeJS.ErrnoException | undefined)?.code ?? String(problem);
  }
  const { figures } = dispatcher;
  await dispatcher.destroy();
  return {
    methods: requests.slice(1).map(({ method }) => method),
    bodies: requests.slice(1).map(({ body }) => body),
    connections: connections.length,
    error,
    text,
    figures,
  };
}

type Options = NonNullable<Parameters<typeof request>[1]>;
const asks =
  (options: Omit<Options, "body"> & { readonly body?: unknown }) =>
  async (origin: string, dispatcher: Dispatcher): Promise<{ text(): Promise<string> }> =>
    (await request(origin, { ...(options as Options), dispatcher })).body;
const stale = new Set(["ECONNRESET", "UND_ERR_SOCKET", "EPIPE"]);

describe("a request whose reused connection the server had closed goes over a new one", () => {
  for (const method of ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"] as const)
    test(method, async () => {
      const { methods, connections, error, figures } = await second(asks({ method }));
      assert.equal(error, undefined);
      assert.deepEqual(methods, [method, method]);
      assert.equal(connections, 2);
      assert.deepEqual([figures.new, figures.stale, figures.replayed], [2, 1, 1]);
    });

  const bodies: Record<string, unknown> = {
    text: "a body",
    "a Buffer": Buffer.from("a body"),
    "a Uint8Array": new TextEncoder().encode("a body"),
    "a Blob": new Blob(["a ", "body"]),
    "a stream that is made anew": bodyFrom(() => Readable.from([Buffer.from("a "), Buffer.from("body")])),
    "an async generator": (async function* () {
      yield "a ";
      yield "body";
    })(),
  };
  for (const [name, body] of Object.entries(bodies))
    test(`PUT with ${name}`, async () => {
      const { bodies, text } = await second(asks({ method: "PUT", body }));
      assert.equal(text, "ok");
      assert.deepEqual(bodies, ["a body", "a body"]);
    });

  test("POST with an Idempotency-Key, however headers are given", async () => {
    const key = ["Idempotency-Key", "abc"] as const;
    for (const headers of [Object.fromEntries([key]), [...key], new Map([key]), new Headers([[...key]])]) {
      const { bodies, text } = await second(
        asks({ method: "POST", headers: headers as Record<string, string>, body: "x" }),
      );
      assert.equal(text, "ok");
      assert.deepEqual(bodies, ["x", "x"]);
    }
  });

  test("fetch() with a body of text", async () => {
    const { bodies, text } = await second((origin, dispatcher) =>
      fetch(origin, { method: "PUT", body: "a body", dispatcher }),
    );
    assert.equal(text, "ok");
    assert.deepEqual(bodies, ["a body", "a body"]);
  });

  test("Node's own fetch() as well", async () => {
    const { bodies, text } = await second((origin, dispatcher) =>
      globalThis.fetch(origin, { method: "PUT", body: "a body", dispatcher: dispatcher as never }),
    );
    assert.equal(text, "ok");
    assert.deepEqual(bodies, ["a body", "a body"]);
  });

  test("over TLS", async () => {
    const server = scriptedServer(closesReused, { tls: selfSigned() });
    const { methods, text, figures } = await second(asks({}), {}, closesReused, server);
    assert.equal(text, "ok");
    assert.deepEqual(methods, ["GET", "GET"]);
    assert.equal(figures.replayed, 1);
  });

  test("whether the server ends the connection or resets it", async () => {
    const { text } = await second(asks({}), {}, ({ connection, index, socket }) =>
      connection > 0 || index === 0 ? ok : end(socket),
    );
    assert.equal(text, "ok");
  });

  test("over IPv6", async () => {
    const { text } = await second(asks({}), {}, closesReused, scriptedServer(closesReused, { host: "::1" }));
    assert.equal(text, "ok");
  });

  test("through undici's interceptors", async () => {
    await using server = await scriptedServer(closesReused);
    const plain = createDispatcher({ connections: 1 });
    const dispatcher = plain.compose((dispatch) => (options, handler) => dispatch(options, handler));
    for (let count = 0; count < 2; count++)
      assert.equal(await (await request(server.origin, { dispatcher })).body.text(), "ok");
    assert.equal(plain.figures.replayed, 1);
    await plain.destroy();
  });

  test("the hundredth as the first", async () => {
    // Every connection answers once: each further request finds its connection stale.
    await using server = await scriptedServer(({ index, socket }) => (index === 0 ? ok : reset(socket)));
    const dispatcher = createDispatcher({ connections: 1 });
    for (let count = 0; count < 100; count++)
      assert.equal(await (await request(server.origin, { dispatcher })).body.text(), "ok");
    assert.equal(server.connections.length, 100);
    assert.equal(dispatcher.figures.stale, 99);
    await dispatcher.destroy();
  });
});

describe("a request is not sent again", () => {
  test("that is a POST without a key", () => isNotRepeated(second(asks({ method: "POST", body: "x" }))));
  test("that is a POST whose caller says idempotent, but gave no key", () =>
    isNotRepeated(second(asks({ method: "POST", idempotent: true }))));
  test("that is a PATCH", () => isNotRepeated(second(asks({ method: "PATCH", body: "x" }))));
  test("whose key is empty", () =>
    isNotRepeated(second(asks({ method: "POST", headers: { "idempotency-key": "" }, body: "x" }))));
  test("whose caller says that it is not idempotent", () =>
    isNotRepeated(second(asks({ method: "GET", idempotent: false }))));
  test("whose headers could be read only once", () => {
    const once = (function* () {
      yield ["a", "b"] as [string, string];
    })();
    return isNotRepeated(second(asks({ method: "GET", headers: once as never })));
  });
  test("whose body is a stream", () =>
    isNotRepeated(second(asks({ method: "PUT", body: Readable.from([Buffer.from("x")]) }))));
  test("whose body was too long to be kept", () => {
    const body = (async function* () {
      for (let count = 0; count < 5; count++) yield Buffer.alloc(16_384, "x");
    })();
    return isNotRepeated(second(asks({ method: "PUT", body })));
  });
  test("where that is turned off", () => isNotRepeated(second(asks({}), { replays: 0 })));

  test("once a byte of the answer has come", async () => {
    const { methods, error } = await second(asks({}), {}, ({ connection, index, socket }) =>
      connection > 0 || index === 0 ? ok : end(socket, "H"),
    );
    assert.ok(error !== undefined);
    assert.deepEqual(methods, ["GET"]);
  });

  test("once an interim answer has come", async () => {
    const { methods } = await second(asks({}), {}, ({ connection, index, socket }) =>
      connection > 0 || index === 0 ? ok : end(socket, "HTTP/1.1 103 Early Hints\r\n\r\n"),
    );
    assert.deepEqual(methods, ["GET"]);
  });

  test("over a connection that was new", async () => {
    await using server = await scriptedServer(({ socket }) => reset(socket));
    const dispatcher = createDispatcher();
    await assert.rejects(request(server.origin, { dispatcher }), (error: NodeJS.ErrnoException) =>
      stale.has(error.code ?? ""),
    );
    assert.equal(server.requests.length, 1);
    assert.deepEqual([dispatcher.figures.stale, dispatcher.figures.replayed], [0, 0]);
    await dispatcher.destroy();
  });

  test("more than once, for the second goes over a new connection", async () => {
    await isNotRepeated(
      second(asks({ method: "POST", body: "" }), {}, ({ connection, index, socket }) =>
        connection === 0 && index === 0 ? ok : reset(socket),
      ),
    );
    const { methods, error, figures } = await second(asks({}), {}, ({ connection, index, socket }) =>
      connection === 0 && index === 0 ? ok : reset(socket),
    );
    assert.ok(error !== undefined && stale.has(error), error);
    assert.deepEqual(methods, ["GET", "GET"]);
    assert.equal(figures.replayed, 1);
  });
});

async function isNotRepeated(tried: Promise<Tried>): Promise<void> {
  const { methods, error, figures } = await tried;
  assert.ok(error !== undefined && stale.has(error), error);
  assert.equal(methods.length, 1);
  assert.deepEqual([figures.stale, figures.replayed], [1, 0]);
}
