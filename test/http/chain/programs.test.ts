import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, get, type Server } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { haproxyHop } from "../../../src/http/chain/haproxy/hop.js";
import { parseHaproxy } from "../../../src/http/chain/haproxy/sections.js";
import { readHop } from "../../../src/http/chain/read-hop.js";
import { freePort, missingPrograms, startHaproxy } from "../real-servers.js";

/** Requests at once, so that as many connections lie idle afterwards. */
const atOnce = 8;

/**
 * Passes requests through a proxy to a server that ends nothing by itself, and waits until the proxy has ended every connection.
 *
 * @returns for how long each was idle by then.
 */
async function idleTimes(port: number, upstream: Server): Promise<number[]> {
  const sinceMs = new Map<Socket, number>();
  const idleMs: number[] = [];
  let allEnded: (() => void) | null = null;
  upstream.on("connection", (socket) => {
    sinceMs.set(socket, Number.NaN);
    socket.on("close", () => {
      idleMs.push(performance.now() - (sinceMs.get(socket) ?? Number.NaN));
      if (idleMs.length === sinceMs.size) allEnded?.();
    });
  });
  // Answered together, so that none can use the connection of another.
  const waiting: (() => void)[] = [];
  upstream.on("request", (request, response) => {
    waiting.push(() => {
      response.end("hello");
      sinceMs.set(request.socket, performance.now());
    });
    if (waiting.length === atOnce) for (const answer of waiting) answer();
  });
  const ended = new Promise<void>((resolve) => (allEnded = resolve));
  await Promise.all(
    Array.from({ length: atOnce }, () => once(get({ port, host: "127.0.0.1", agent: false }), "response")),
  );
  await ended;
  return idleMs;
}

async function seen(
  program: string,
  configuration: (port: number, upstream: number, folder: string) => string,
  args: (file: string, folder: string) => readonly string[],
): Promise<{ readonly readMs: number; readonly idleMs: readonly number[] }> {
  const folder = mkdtempSync(join(tmpdir(), "deadpeer-idle-"));
  const upstream = createServer();
  upstream.keepAliveTimeout = 0;
  upstream.listen(0, "127.0.0.1");
  await once(upstream, "listening");
  const port = await freePort();
  const file = join(folder, "proxy.conf");
  writeFileSync(file, configuration(port, (upstream.address() as AddressInfo).port, folder));
  const env = { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` };
  const child = spawn(program, args(file, folder), { env, stdio: "ignore" });
  const gone = once(child, "exit");
  try {
    for (let tries = 0; tries < 1_000; tries++) {
      const socket = get({ port, host: "127.0.0.1", agent: false, path: "/ready" });
      const accepts = await once(socket, "socket").then(
        () =>
          once(socket, "response").then(
            () => true,
            () => false,
          ),
        () => false,
      );
      socket.destroy();
      if (accepts) break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const { sending } = readHop(`${program}:${file}`, "proxy", null);
    assert.equal(sending?.noReuse, null);
    return { readMs: sending.idle.ms ?? Number.NaN, idleMs: await idleTimes(port, upstream) };
  } finally {
    child.kill("SIGTERM");
    await gone;
    upstream.closeAllConnections();
    upstream.close();
    rmSync(folder, { recursive: true });
  }
}

describe("what is read of a proxy is what it does", { concurrency: true }, () => {
  test("haproxy: the last of 8 connections goes after six delays", {
    skip: missingPrograms("haproxy"),
  }, async () => {
    const { readMs, idleMs } = await seen(
      "haproxy",
      (port, upstream) => `global
  nbthread 1
defaults
  mode http
  timeout client 30s
  timeout connect 5s
  timeout server 30s
frontend f
  bind 127.0.0.1:${port}
  http-request return status 204 if { path /ready }
  default_backend b
backend b
  default-server pool-purge-delay 500ms pool-max-conn ${atOnce}
  server s 127.0.0.1:${upstream}
`,
      (file) => ["-db", "-f", file],
    );
    assert.equal(readMs, 3_000);
    const longestMs = Math.max(...idleMs);
    assert.ok(longestMs <= readMs + 1_000 && longestMs >= readMs / 3, `${longestMs}`);
  });

  test("nginx: each after its time", { skip: missingPrograms("nginx") }, async () => {
    const { readMs, idleMs } = await seen(
      "nginx",
      (port, upstream, folder) => `daemon off; master_process off; pid ${folder}/pid; error_log stderr;
events { }
http {
  access_log off; client_body_temp_path ${folder}/a; proxy_temp_path ${folder}/b;
  fastcgi_temp_path ${folder}/c; uwsgi_temp_path ${folder}/d; scgi_temp_path ${folder}/e;
  upstream u { server 127.0.0.1:${upstream}; keepalive ${atOnce}; keepalive_timeout 1500ms; }
  server {
    listen 127.0.0.1:${port};
    location = /ready { return 204; }
    location / { proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }
}
`,
      (file, folder) => ["-p", folder, "-c", file],
    );
    assert.equal(readMs, 1_500);
    for (const ms of idleMs) assert.ok(Math.abs(ms - readMs) < 1_000, idleMs.join(" "));
  });

  for (const [lines, ms] of [
    ["timeout client 1s\n  timeout http-keep-alive 9s", 1_000],
    ["timeout client 9s\n  timeout http-keep-alive 1s", 1_000],
    ["timeout client 9s\n  timeout http-keep-alive 0\n  timeout http-request 1s", 1_000],
    ["timeout client 9s\n  timeout http-keep-alive 1s\n  timeout http-request 3s", 1_000],
  ] as const)
    test(`haproxy: clients after ${lines.replace(/\s+/g, " ")}`, {
      skip: missingPrograms("haproxy"),
    }, async () => {
      const hop = haproxyHop(
        parseHaproxy(`defaults\n mode http\n ${lines}\nfrontend f\n`, "a"),
        "proxy",
        "a",
        null,
      );
      assert.equal(hop.keeping?.keepAlive.ms, ms);
      await using proxy = await startHaproxy(lines);
      const socket = connect(proxy.port, "127.0.0.1").resume();
      socket.write("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
      await once(socket, "data");
      const beganMs = performance.now();
      await once(socket, "end");
      // The next shorter time of these is 3 s.
      assert.ok(performance.now() - beganMs < 2_500, `${performance.now() - beganMs}`);
      socket.destroy();
    });
});
