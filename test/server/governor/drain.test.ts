import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import { createServer, type Socket } from "node:net";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import {
  type DrainOnSignalsOptions,
  type DrainOptions,
  drainOnSignals,
  governServer,
} from "../../../src/server/index.js";
import { until } from "../../support/until.js";
import { closed, connected, hosts, listening, received } from "./support.js";

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** GET / by HPACK's static table (RFC 7541 appendix A), with END_STREAM and END_HEADERS. */
const get = (stream: number): Buffer => frame(1, 5, stream, Buffer.from("828684410161", "hex"));

interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** The frames at the beginning of some bytes, and what is left. */
function framesIn(bytes: Buffer): [Frame[], Buffer] {
  const frames: Frame[] = [];
  let rest = bytes;
  while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
    const length = rest.readUIntBE(0, 3);
    frames.push({
      type: rest[3] as number,
      flags: rest[4] as number,
      stream: rest.readUInt32BE(5),
      payload: rest.subarray(9, 9 + length),
    });
    rest = rest.subarray(9 + length);
  }
  return [frames, rest];
}

for (const host of hosts)
  describe(`drain on ${host}`, () => {
    test("cuts off what remains when its time is over, and says how much", async (t) => {
      const server = createHttpServer(() => {});
      const governor = governServer(server, {});
      const client = await connected(t, await listening(t, server, host), host);
      client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
      await once(server, "request");
      const { cutOff, connections, tookMs } = await governor.drain({ within: "300ms" });
      assert.deepEqual([cutOff, connections], [1, 1]);
      assert.ok(tookMs >= 300, `${tookMs}`);
      assert.equal(governor.snapshot().evicted.drain, 1);
      await closed(server, client);
    });

    test("ends at once on a second call with now, and on its signal", async (t) => {
      for (const how of ["now", "signal"]) {
        const server = createHttpServer(() => {});
        const governor = governServer(server, {});
        const client = await connected(t, await listening(t, server, host), host);
        client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        await once(server, "request");
        const stop = new AbortController();
        const drained = governor.drain({ within: "1h", signal: stop.signal });
        if (how === "now") assert.equal(governor.drain({ now: true }), drained);
        else stop.abort();
        assert.equal((await drained).cutOff, 1);
        await closed(server, client);
      }
    });

    test("of a server without connections, or that is closed already, is over at once", async (t) => {
      const server = createServer();
      const governor = governServer(server, {});
      await listening(t, server, host);
      assert.equal((await governor.drain()).connections, 0);
      const other = createServer();
      assert.equal((await governServer(other, {}).drain()).connections, 0);
    });

    test("with no time at all cuts off what there is, and counts it", async (t) => {
      const server = createHttpServer(() => {});
      const governor = governServer(server, {});
      const client = await connected(t, await listening(t, server, host), host);
      client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
      await once(server, "request");
      const { connections, cutOff } = await governor.drain({ within: 0 });
      assert.deepEqual([connections, cutOff], [1, 1]);
    });

    test("does not wait for connections that the governor does not hold longer than it has", async (t) => {
      const server = createServer((socket) => socket.on("error", () => {}));
      const accepted = once(server, "connection");
      await connected(t, await listening(t, server, host), host);
      const [socket] = (await accepted) as [Socket];
      t.after(() => void socket.destroy());
      const report = await governServer(server, {}).drain({ within: "300ms" });
      assert.deepEqual([report.connections, report.cutOff, report.notHeld], [0, 0, 1]);
    });

    test("waits for connections that another server has accepted", async (t) => {
      const http = createHttpServer((_request, response) => setTimeout(() => response.end("answered"), 500));
      const governor = governServer(http, {});
      const server = createServer((socket) => http.emit("connection", socket));
      const client = await connected(t, await listening(t, server, host), host);
      const answer = received(client);
      client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
      await once(http, "request");
      const { connections, cutOff } = await governor.drain({ within: "20s" });
      assert.deepEqual([connections, cutOff, governor.size], [1, 0, 0]);
      assert.match(await answer, /Connection: close[^]*answered/);
    });

    test("ends when the governor is closed, whose connections live on", async (t) => {
      const server = createServer((socket) => socket.on("error", () => {}).pipe(socket));
      const governor = governServer(server, {});
      const client = await connected(t, await listening(t, server, host), host);
      await until(() => governor.size === 1);
      const drained = governor.drain({ within: "1h" });
      governor.close();
      assert.equal((await drained).notHeld, 1);
      assert.throws(() => governServer(createServer(), { idle: "1m" }, {}).drain({ within: "1" }), {
        code: "bad-duration",
      });
      client.write("still here");
      assert.equal(String(await once(client, "data")), "still here");
      const closed = governServer(createServer(), {});
      closed.close();
      assert.throws(() => closed.drain(), { code: "connection-closed" });
    });

    test("a later call's signal cuts off what remains as well", async (t) => {
      const server = createHttpServer(() => {});
      const governor = governServer(server, {});
      const client = await connected(t, await listening(t, server, host), host);
      client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
      await once(server, "request");
      const drained = governor.drain({ within: "1h" });
      const stop = new AbortController();
      void governor.drain({ signal: stop.signal });
      stop.abort();
      assert.equal((await drained).cutOff, 1);
    });

    test("answers a request that comes while an idle connection waits, and none that comes too late", async (t) => {
      let requests = 0;
      const server = createHttpServer({ keepAliveTimeout: 0 }, (_request, response) => {
        requests++;
        response.end("x");
      });
      const governor = governServer(server, {});
      const port = await listening(t, server, host);
      const [prompt, late] = [await connected(t, port, host), await connected(t, port, host)];
      const drained = governor.drain({ within: "20s" });
      const answer = received(prompt);
      const end = once(late, "end");
      setTimeout(() => prompt.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n"), 500);
      assert.match(await answer, /^HTTP\/1.1 200 [^]*Connection: close/);
      late.resume();
      await end;
      // Its other side is still open: the server reads this, and does not act on it.
      late.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
      for (const client of [prompt, late]) client.end();
      assert.equal((await drained).cutOff, 0);
      assert.equal(requests, 1);
      await closed(server, prompt, late);
    });

    test("answers all requests that were pipelined, before it and while it lasts, and carries out none that it cannot", async (t) => {
      const answers: (() => void)[] = [];
      const server = createHttpServer((_request, response) => {
        answers.push(() => response.end("x"));
      });
      const governor = governServer(server, {});
      const client = await connected(t, await listening(t, server, host), host);
      const text = received(client);
      const get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
      client.write(get.repeat(3));
      await until(() => answers.length === 3);
      const drained = governor.drain({ within: "20s" });
      client.write(get);
      await until(() => answers.length === 4);
      for (const answer of answers.slice(0, 3)) answer();
      client.write(get);
      await until(() => answers.length === 5);
      for (const answer of answers) answer();
      // The answer before it has said by now that it was the last.
      client.write(get);
      assert.deepEqual((await text).match(/HTTP\/1.1 200|Connection: close|x(?=HTTP|$)/g), [
        ...Array.from({ length: 4 }, () => ["HTTP/1.1 200", "x"]).flat(),
        "HTTP/1.1 200",
        "Connection: close",
        "x",
      ]);
      assert.equal((await drained).cutOff, 0);
      assert.equal(answers.length, 5);
    });

    test("takes the HTTP/2 request that crosses its notice", async (t) => {
      const server = createHttp2Server((_request, response) => response.end("hello"));
      const governor = governServer(server, {});
      const client = await connected(t, await listening(t, server, host), host);
      client.write(Buffer.concat([Buffer.from(preface), frame(4, 0, 0, Buffer.alloc(0)), get(1)]));
      const seen: Frame[] = [];
      let rest: Buffer = Buffer.alloc(0);
      let drained: ReturnType<typeof governor.drain> | null = null;
      client.on("data", (piece: Buffer) => {
        const [frames, left] = framesIn(Buffer.concat([rest, piece]));
        rest = left;
        seen.push(...frames);
        for (const { type, flags, stream, payload } of frames) {
          if (type === 0 && stream === 1 && (flags & 1) === 1) drained ??= governor.drain({ within: "20s" });
          // The notice: the client has sent one more by the time that it reads it.
          if (type === 7 && payload.readUInt32BE(0) === 0x7fff_ffff) client.write(get(3));
          if (type === 6 && (flags & 1) === 0) client.write(frame(6, 1, 0, payload));
        }
      });
      await once(client, "end");
      client.end();
      const goaways = seen.filter(({ type }) => type === 7).map(({ payload }) => payload.readUInt32BE(0));
      assert.deepEqual([goaways[0], goaways[1]], [0x7fff_ffff, 3]);
      const bodies = seen.filter(({ type, payload }) => type === 0 && payload.length > 0);
      assert.deepEqual(
        bodies.map(({ stream, payload }) => `${stream} ${payload.toString()}`),
        ["1 hello", "3 hello"],
      );
      assert.equal((await (drained as unknown as ReturnType<typeof governor.drain>)).cutOff, 0);
      await closed(server, client);
    });

    test("closing the governor leaves connections alone", async (t) => {
      const server = createServer((socket) => socket.on("error", () => {}).pipe(socket));
      const governor = governServer(server, { idle: "200ms" });
      const client = await connected(t, await listening(t, server, host), host);
      governor.close();
      governor[Symbol.dispose]();
      assert.equal(Object.hasOwn(server, "emit"), false);
      await new Promise((resolve) => setTimeout(resolve, 600));
      client.write("still here");
      assert.equal(String(await once(client, "data")), "still here");
      assert.equal(governor.size, 0);
      await closed(server, client);
    });
  });

test("refuses what it cannot do when it is asked, not when the signal comes", async () => {
  const governor = governServer(createServer(), {});
  const options = [
    [{ within: "20" }, "bad-duration"],
    [{ withn: "20s" }, "bad-option"],
    [{ webSocketCode: 1000 }, "bad-option"],
    [{ signals: ["SIGTERM", "SIGKILL"] }, "bad-option"],
    [{ signals: ["SIGNONE"] }, "bad-option"],
  ] as const;
  for (const [given, code] of options) {
    const before = process.listenerCount("SIGTERM");
    await assert.rejects(drainOnSignals(governor, given as DrainOnSignalsOptions), { code });
    assert.equal(process.listenerCount("SIGTERM"), before);
  }
  assert.throws(() => governor.drain({ withn: "20s" } as DrainOptions), /^DeadpeerError: withn: .*"within"/);
});

async function drainedServer(): Promise<WeakRef<object>> {
  const server = createHttpServer().listen(0);
  await once(server, "listening");
  await governServer(server, {}).drain();
  return new WeakRef(server);
}

test("a server that was drained is kept by nobody", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const server = await drainedServer();
  await until(() => {
    collect();
    return server.deref() === undefined;
  });
});

test("a program drains on a signal, and ends at once on a second", async (t) => {
  const program = fileURLToPath(new URL("programs/draining.js", import.meta.url));
  for (const signals of [1, 2]) {
    const child = spawn(process.execPath, [program], { stdio: ["ignore", "pipe", "inherit"] });
    try {
      const [line] = (await once(child.stdout, "data")) as [Buffer];
      const client = await connected(t, Number(String(line)), "127.0.0.1");
      const waiting = received(client);
      client.write(`GET /${signals === 1 ? "" : "never"} HTTP/1.1\r\nhost: a\r\n\r\n`);
      await once(child.stdout, "data");
      for (let n = 0; n < signals; n++) {
        child.kill("SIGTERM");
        if (n === 0) await once(child.stdout, "data");
      }
      const [status] = (await once(child, "exit")) as [number];
      assert.equal(status, signals - 1);
      assert.match(await waiting, signals === 1 ? /Connection: close[^]*answered/ : /^$/);
      client.destroy();
    } finally {
      child.kill("SIGKILL");
    }
  }
});
