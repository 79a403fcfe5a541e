import assert from "node:assert/strict";
import { once } from "node:events";
import { createSecureServer, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { describe, test } from "node:test";
import { request } from "undici";
import { createDispatcher } from "../../../src/http/index.js";
import { selfSigned } from "../../support/certificate.js";
import { answer, type RawConnection, rawServer } from "../raw-server.js";

/** The code of what a request failed with, or what was answered. */
async function outcome(asked: ReturnType<typeof request>): Promise<string> {
  try {
    return await (await asked).body.text();
  } catch (error) {
    const { code, name } = error as NodeJS.ErrnoException;
    return typeof code === "string" ? code : name;
  }
}

function pathOf({ head }: RawConnection): string {
  return head.split(" ")[1] ?? "";
}

describe("of requests in a pipeline", () => {
  test("one that is aborted before its turn costs the others nothing", async () => {
    const seen: string[] = [];
    const unanswered: Socket[] = [];
    await using server = await rawServer((asked) => {
      seen.push(pathOf(asked));
      if (pathOf(asked) === "/post") unanswered.push(asked.socket);
      else asked.socket.write(answer());
    });
    const dispatcher = createDispatcher({ connections: 1, pipelining: 4 });
    const abort = new AbortController();
    const url = (path: string): string => server.url + path;
    assert.equal(await outcome(request(url("warm"), { dispatcher })), "ok");
    const post = outcome(request(url("post"), { dispatcher, method: "POST", body: "x" }));
    const waiting = outcome(request(url("waiting"), { dispatcher, signal: abort.signal }));
    const behind = outcome(request(url("behind"), { dispatcher }));
    while (!seen.includes("/post")) await new Promise((resolve) => setTimeout(resolve, 5));
    abort.abort();
    for (const socket of unanswered) socket.write(answer());
    assert.deepEqual(await Promise.all([post, waiting, behind]), ["ok", "AbortError", "ok"]);
    assert.deepEqual(seen, ["/warm", "/post", "/behind"]);
    assert.equal(server.connections, 1);
    await dispatcher.destroy();
  });

  test("none is sent twice that may not be, when another one's abort ends their connection", async () => {
    const seen: string[] = [];
    await using server = await rawServer((asked) => {
      seen.push(pathOf(asked));
      const again = seen.filter((path) => path === pathOf(asked)).length > 1;
      if (again || pathOf(asked) === "/warm") asked.socket.write(answer());
    });
    const dispatcher = createDispatcher({ connections: 1, pipelining: 4 });
    const url = (path: string): string => server.url + path;
    assert.equal(await outcome(request(url("warm"), { dispatcher })), "ok");
    const abort = new AbortController();
    // That the caller takes it for idempotent brings it into the pipeline, but not over the wire twice.
    const options = { dispatcher, method: "POST", idempotent: true, blocking: false } as const;
    const first = outcome(request(url("aborted"), { dispatcher, blocking: false, signal: abort.signal }));
    const post = outcome(request(url("post"), { ...options, body: "x" }));
    const get = outcome(request(url("get"), { dispatcher, blocking: false }));
    while (seen.length < 4) await new Promise((resolve) => setTimeout(resolve, 5));
    abort.abort();
    assert.deepEqual(await Promise.all([first, post, get]), ["AbortError", "UND_ERR_INFO", "ok"]);
    assert.deepEqual(seen, ["/warm", "/aborted", "/post", "/get", "/get"]);
    await dispatcher.destroy();
  });
});

describe("requests on an HTTP/2 session are sent again, each once, when it", () => {
  const identity = selfSigned();
  for (const [what, end] of [
    ["says goodbye", ({ session }) => session.goaway()],
    ["ends", ({ session }) => session.destroy()],
    ["is reset", ({ socket }) => socket.resetAndDestroy()],
  ] as const satisfies readonly (readonly [
    string,
    (it: { readonly session: ServerHttp2Session; readonly socket: Socket }) => void,
  ])[])
    for (const host of ["127.0.0.1", "::1"])
      test(`${what}, at ${host}`, async (context) => {
        const server = createSecureServer(identity);
        const sessions = new Set<ServerHttp2Session>();
        const sockets: Socket[] = [];
        server.on("connection", (socket: Socket) => void sockets.push(socket));
        server.on("session", (session) => void sessions.add(session.on("error", () => {})));
        server.on("sessionError", () => {});
        const seen: string[] = [];
        server.on("stream", (stream: ServerHttp2Stream, { ":path": path = "" }) => {
          stream.on("error", () => {});
          seen.push(path);
          const [session] = sessions;
          const [socket] = sockets;
          if (path === "/warm" || sessions.size > 1) {
            stream.respond({ ":status": 200 });
            stream.end("ok");
          } else if (seen.length === 6 && session !== undefined && socket !== undefined)
            // Once all have been handed over.
            setImmediate(() => end({ session, socket }));
        });
        context.after(() => {
          for (const session of sessions) session.destroy();
          server.close();
        });
        server.listen(0, host);
        await once(server, "listening");
        const { port } = server.address() as AddressInfo;
        const origin = `https://${host.includes(":") ? `[${host}]` : host}:${port}`;
        const connect = { rejectUnauthorized: false };
        const dispatcher = createDispatcher({ allowH2: true, connections: 1, pipelining: 10, connect });
        assert.equal(await outcome(request(`${origin}/warm`, { dispatcher })), "ok");
        const paths = ["/1", "/2", "/3", "/4", "/5"];
        const asked = paths.map((path) => outcome(request(origin + path, { dispatcher })));
        assert.deepEqual(await Promise.all(asked), ["ok", "ok", "ok", "ok", "ok"]);
        assert.deepEqual(seen.toSorted(), ["/warm", ...paths, ...paths].toSorted());
        await dispatcher.destroy();
      });
});
