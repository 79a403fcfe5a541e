import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { governServer } from "../../../src/server/index.js";
import { VirtualClock } from "../../../src/time/virtual-clock.js";
import { until } from "../../support/until.js";
import { connected, hosts, listening, received } from "./support.js";

test("a server that was stopped holds the time against nobody", async (t) => {
  const program = fileURLToPath(new URL("programs/strict.js", import.meta.url));
  const child = spawn(process.execPath, [program], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    const [line] = (await once(child.stdout, "data")) as [Buffer];
    const client = await connected(t, Number(String(line)), "127.0.0.1");
    const answer = received(client);
    client.write("GET / HTTP/1.1\r\nconnection: close\r\n");
    // The server has it when it has said so.
    await once(child.stdout, "data");
    child.kill("SIGSTOP");
    await until(() => / T /.test(readFileSync(`/proc/${child.pid}/stat`, "latin1")));
    await new Promise((resolve) => setTimeout(resolve, 7_000));
    child.kill("SIGCONT");
    // It looks at once at what is overdue, and has nothing of this yet.
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    client.write("host: a\r\n\r\n");
    assert.match(await answer, /^HTTP\/1.1 200 /);
    client.destroy();
  } finally {
    child.kill("SIGKILL");
  }
});

/** Until the event loop runs timers, as it does when a limit is over. */
async function timersTurn(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 1));
}

for (const host of hosts) {
  test(`what has come by the time that a limit is over is read first, on ${host}`, async (t) => {
    const clock = new VirtualClock();
    const server = createServer((socket) => socket.on("error", () => {}).resume());
    const governor = governServer(server, { firstByte: "1s" }, { clock });
    const client = await connected(t, await listening(t, server, host), host);
    await until(() => governor.size === 1);
    await timersTurn();
    // The kernel has it at once, and the server has not read it.
    client.write("x");
    clock.advanceSync(2_000);
    await until(() => governor.connections()[0]?.bytesRead === 1);
    assert.equal(governor.snapshot().evicted["first-byte"], 0);
  });

  test(`a PROXY header that has come by the time that it is due is read, on ${host}`, async (t) => {
    const clock = new VirtualClock();
    const server = createServer((socket) => socket.on("error", () => {}).resume());
    const governor = governServer(server, { proxy: { from: [host], within: "1s" } }, { clock });
    const port = await listening(t, server, host);
    const accepted = new Promise((resolve) => governor.once("refused", resolve));
    // The first is refused, and shows that the second is here as well.
    const late = await connected(t, port, host);
    const client = await connected(t, port, host);
    late.write("x");
    await accepted;
    await timersTurn();
    client.write("PROXY UNKNOWN\r\n");
    clock.advanceSync(2_000);
    await once(server, "connection");
    assert.equal(governor.snapshot().refused["proxy-late"], 0);
  });
}

test("without the foreign-function interface limits hold as well", async () => {
  const program = fileURLToPath(new URL("programs/without-koffi.js", import.meta.url));
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [program], { timeout: 45_000 });
  assert.equal(stderr, "");
  assert.deepEqual(JSON.parse(stdout), { silentFirst: true, idle: 1, text: "done", cutOff: 0 });
});
