import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import net from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { snippetFor } from "../../../src/plan/snippets/index.js";
import { cases } from "./cases.js";
import { connectTo, freePort, listening, run, start, temporaryFolder, without } from "./programs.js";
import { optionsOf, type SeenSocket, socketsOf, withoutSight } from "./sockets.js";

const timeout = 120_000;

interface Proxied {
  readonly name: string;
  readonly text: string;
  readonly port: number;
  readonly upstream: number;
  /** Resolves when the proxy has connected. */
  readonly reached: Promise<unknown>;
}

/** Each case with a port for the proxy to listen on, and a server of the test's that the proxy passes connections on to. */
async function proxied(t: TestContext, target: string): Promise<Proxied[]> {
  const all: Proxied[] = [];
  for (const { name, settings } of cases) {
    const upstream = net.createServer((socket) => {
      socket.on("error", () => undefined);
      t.after(() => socket.destroy());
    });
    t.after(() => upstream.close());
    const reached = once(upstream, "connection");
    all.push({
      name,
      text: snippetFor(target, settings).text,
      port: await freePort(),
      upstream: await listening(upstream, 0, "127.0.0.1"),
      reached,
    });
  }
  return all;
}

function clientSide(seen: readonly SeenSocket[], { name, port }: Proxied): SeenSocket {
  const socket = seen.find((one) => one.localPort === port && one.remotePort !== null);
  assert.ok(socket, `${name}: the client's socket is gone`);
  return socket;
}

function upstreamSide(seen: readonly SeenSocket[], { name, upstream }: Proxied): SeenSocket {
  const socket = seen.find((one) => one.remotePort === upstream);
  assert.ok(socket, `${name}: the upstream's socket is gone`);
  return socket;
}

test("nginx accepts the lines and gives its clients' sockets exactly the settings", {
  timeout,
  skip: without("nginx") || withoutSight(),
}, async (t) => {
  const folder = await temporaryFolder(t);
  const all = await proxied(t, "nginx");
  const servers = all.map(({ text, port, upstream }) => {
    const own = text.replace(/^listen 80 (.*);$/m, `listen 127.0.0.1:${port} $1;\nlisten [::1]:${port} $1;`);
    return `server {\n${own}\nlocation / { proxy_pass http://127.0.0.1:${upstream}; }\n}`;
  });
  const file = join(folder, "nginx.conf");
  await writeFile(
    file,
    `daemon off; master_process off; pid ${folder}/pid; error_log stderr;
events {}
http {
access_log off;
${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${folder}/${name};`).join("\n")}
${servers.join("\n")}
}
`,
  );
  const args = ["-e", "stderr", "-p", folder, "-c", file];
  await run("nginx", ["-t", ...args]);
  const program = start(t, "nginx", args);

  const clients: net.Socket[] = [];
  for (const { port } of all)
    for (const host of ["127.0.0.1", "::1"]) clients.push(await connectTo(t, program, port, host));
  // Only a request makes nginx connect to its upstream, and reaching that proves that the client was accepted.
  for (const client of clients) client.write("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
  await Promise.all(all.map(({ reached }) => reached));

  const seen = await socketsOf(program.pid);
  for (const [index, one] of all.entries()) {
    const { alone } = cases[index] ?? assert.fail();
    assert.deepEqual(optionsOf(clientSide(seen, one)), alone, one.name);
    assert.equal(
      upstreamSide(seen, one).keepalive !== null,
      alone.keepalive !== null,
      `${one.name}, upstream`,
    );
  }
});

test("haproxy accepts the lines and gives sockets on both sides exactly the settings", {
  timeout,
  skip: without("haproxy") || withoutSight(),
}, async (t) => {
  const file = join(await temporaryFolder(t), "haproxy.cfg");
  const all = await proxied(t, "haproxy");
  const sections = all.map(({ text, port, upstream }, index) => {
    const onBind = text.match(/# bind :80 (.*)$/m)?.[1] ?? "";
    const onServer = text.match(/# server app 192\.0\.2\.1:80 (.*)$/m)?.[1] ?? "";
    return `defaults d${index}
    mode tcp
    timeout connect 10s
    timeout client 1h
    timeout server 1h
${text}
listen l${index} from d${index}
    bind 127.0.0.1:${port} ${onBind}
    server upstream 127.0.0.1:${upstream} ${onServer}`;
  });
  await writeFile(file, `global\n    maxconn 100\n${sections.join("\n")}\n`);
  await run("haproxy", ["-c", "-f", file]);
  const program = start(t, "haproxy", ["-db", "-f", file]);
  for (const { port } of all) await connectTo(t, program, port);
  await Promise.all(all.map(({ reached }) => reached));

  const seen = await socketsOf(program.pid);
  for (const [index, one] of all.entries()) {
    const { full } = cases[index] ?? assert.fail();
    assert.deepEqual(optionsOf(clientSide(seen, one)), full, `${one.name}, client`);
    assert.deepEqual(optionsOf(upstreamSide(seen, one)), full, `${one.name}, server`);
  }
});
