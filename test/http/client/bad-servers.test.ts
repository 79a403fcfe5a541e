import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { request } from "undici";
import {
  createAgent,
  createDispatcher,
  createHttpsAgent,
  type ReuseFigures,
} from "../../../src/http/index.js";
import { selfSigned } from "../../support/certificate.js";
import { get } from "../../support/http-get.js";
import { end, ok, reset, scriptedServer, type ScriptedRequest } from "../../support/scripted-http.js";

/** The same conversation over undici's dispatcher and over Node's agent. */
interface Client {
  /** The answer's text; a failed request's error code. */
  ask(
    url: string,
    options?: { readonly method?: string; readonly body?: string; readonly timeoutMs?: number },
  ): Promise<string>;
  readonly figures: ReuseFigures;
  end(): Promise<void>;
}

const clients: Readonly<Record<string, () => Client>> = {
  "the dispatcher": () => {
    const dispatcher = createDispatcher({ connections: 1 });
    return {
      ask: async (url, { method = "GET", body, timeoutMs } = {}) => {
        const headersTimeout = timeoutMs ?? null;
        const answer = request(url, {
          dispatcher,
          method,
          body: body ?? null,
          headersTimeout,
        });
        return answer.then(({ body: read }) => read.text()).catch(codeOf);
      },
      get figures() {
        return dispatcher.figures;
      },
      end: () => dispatcher.destroy(),
    };
  },
  "the agent": () => {
    const agent = createAgent({ maxSockets: 1 });
    const secure = createHttpsAgent({ maxSockets: 1 });
    return {
      ask: async (url, { method = "GET", body, timeoutMs } = {}) => {
        const signal = timeoutMs === undefined ? {} : { signal: AbortSignal.timeout(timeoutMs) };
        const used = url.startsWith("https:") ? secure : agent;
        const answer = get(url, { agent: used, method, ...(body === undefined ? {} : { body }), ...signal });
        return answer.then(({ text }) => text).catch(codeOf);
      },
      get figures() {
        return agent.figures;
      },
      end: async () => {
        agent.destroy();
        secure.destroy();
      },
    };
  },
};

for (const [name, make] of Object.entries(clients))
  describe(`${name} meets`, () => {
    meets(
      make,
      "a server that advertises more than it keeps",
      ({ socket }) => {
        socket.setTimeout(20, () => socket.end());
        return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nKeep-Alive: timeout=60\r\n\r\nok";
      },
      async (client, url) => {
        for (let count = 0; count < 30; count++) {
          assert.equal(await client.ask(url), "ok");
          await new Promise((resolve) => setTimeout(resolve, 15 + (count % 10)));
        }
      },
    );
    meets(
      make,
      "answers without a Content-Length, which end with their connection",
      ({ socket }) => end(socket, "HTTP/1.1 200 OK\r\n\r\nall of it"),
      async (client, url) => {
        for (let count = 0; count < 3; count++) assert.equal(await client.ask(url), "all of it");
        assert.deepEqual([client.figures.new, client.figures.reused], [3, 0]);
      },
    );
    meets(
      make,
      "a connection closed in mid-body",
      ({ connection, index, socket }) =>
        connection > 0 || index === 0 ? ok : end(socket, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal"),
      async (client, url) => {
        assert.equal(await client.ask(url), "ok");
        assert.match(
          await client.ask(url),
          /^(UND_ERR_SOCKET|UND_ERR_RES_CONTENT_LENGTH_MISMATCH|ECONNRESET)$/,
        );
        assert.deepEqual([client.figures.stale, client.figures.replayed], [0, 0]);
        assert.equal(await client.ask(url), "ok");
      },
    );
    meets(
      make,
      "a 100-continue that nobody asked for",
      () => `HTTP/1.1 100 Continue\r\n\r\n${ok}`,
      async (client, url) => {
        // undici takes it for a bad answer; Node reads over it. Either way it is an answer, and nothing is sent twice.
        assert.match(await client.ask(url, { method: "PUT", body: "x" }), /^(ok|UND_ERR_SOCKET)$/);
        assert.equal(client.figures.replayed, 0);
      },
    );
    meets(
      make,
      "a 100-continue before the connection is closed",
      ({ connection, index, socket }) =>
        connection > 0 || index === 0 ? ok : end(socket, "HTTP/1.1 100 Continue\r\n\r\n"),
      async (client, url) => {
        assert.equal(await client.ask(url), "ok");
        assert.match(await client.ask(url, { method: "PUT", body: "x" }), /^(UND_ERR_SOCKET|ECONNRESET)$/);
        assert.equal(client.figures.replayed, 0);
      },
    );
    meets(
      make,
      "HTTP/1.0, which closes",
      ({ socket }) => end(socket, "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
      async (client, url) => {
        for (let count = 0; count < 3; count++) assert.equal(await client.ask(url), "ok");
        assert.deepEqual([client.figures.new, client.figures.reused], [3, 0]);
      },
    );
    meets(
      make,
      "HTTP/1.0 that keeps the connection",
      () => "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
      async (client, url) => {
        for (let count = 0; count < 3; count++) assert.equal(await client.ask(url), "ok");
        assert.deepEqual([client.figures.new, client.figures.reused], [1, 2]);
      },
    );
    meets(
      make,
      "an answer to a request that was never sent",
      ({ index }) => (index === 0 ? ok + ok : ok),
      async (client, url) => {
        assert.equal(await client.ask(url), "ok");
        assert.equal(await client.ask(url), "ok");
      },
    );
    meets(
      make,
      "a server that resets at once",
      ({ socket }) => reset(socket),
      async (client, url) => {
        assert.match(await client.ask(url), /^(ECONNRESET|UND_ERR_SOCKET)$/);
        assert.deepEqual([client.figures.stale, client.figures.replayed], [0, 0]);
      },
    );
    meets(
      make,
      "a server that never answers",
      () => null,
      async (client, url) => {
        assert.match(
          await client.ask(url, { timeoutMs: 500 }),
          /^(UND_ERR_HEADERS_TIMEOUT|ABORT_ERR|20|23)$/,
        );
        assert.equal(client.figures.replayed, 0);
      },
    );
    meets(
      make,
      "bytes that are no HTTP",
      ({ connection, index }) => (connection > 0 || index === 0 ? ok : "220 ready\r\n\r\n"),
      async (client, url) => {
        assert.equal(await client.ask(url), "ok");
        assert.match(await client.ask(url), /^(HPE_|HTTPParserError)/);
        assert.deepEqual([client.figures.stale, client.figures.replayed], [0, 0]);
      },
    );
    meets(
      make,
      "Keep-Alive headers that are absurd",
      ({ index }) => {
        const absurd = ["timeout=99999999999, max=-1", "=,;=", '"', `timeout=${"9".repeat(400)}`, "max=0"];
        return `HTTP/1.1 200 OK\r\nContent-Length: 2\r\nKeep-Alive: ${absurd[index % absurd.length]}\r\n\r\nok`;
      },
      async (client, url) => {
        for (let count = 0; count < 10; count++) assert.equal(await client.ask(url), "ok");
      },
    );
    test("a name that does not resolve", async () => {
      const client = make();
      assert.match(await client.ask("http://nowhere.invalid/"), /^(ENOTFOUND|EAI_AGAIN)$/);
      assert.deepEqual([client.figures.new, client.figures.replayed], [0, 0]);
      await client.end();
    });
    test("a port on which nobody listens", async () => {
      const closed = await scriptedServer(() => ok);
      await closed[Symbol.asyncDispose]();
      const client = make();
      assert.equal(await client.ask(closed.origin), "ECONNREFUSED");
      await client.end();
    });
    test("a certificate that is not trusted", async () => {
      await using server = await scriptedServer(() => ok, { tls: selfSigned() });
      const client = make();
      assert.equal(await client.ask(server.origin), "DEPTH_ZERO_SELF_SIGNED_CERT");
      assert.equal(client.figures.new, 0);
      assert.equal(server.requests.length, 0);
      await client.end();
    });
  });

function codeOf(error: unknown): string {
  const { code } = error as { readonly code?: unknown };
  return typeof code === "string" || typeof code === "number" ? String(code) : String(error);
}

type Meeting = readonly [
  what: string,
  answer: (request: ScriptedRequest) => string | null,
  converse: (client: Client, url: string) => Promise<void>,
];

function meets(make: () => Client, ...[what, answer, converse]: Meeting): void {
  test(what, async () => {
    await using server = await scriptedServer(answer);
    const client = make();
    await converse(client, server.origin);
    await client.end();
  });
}
