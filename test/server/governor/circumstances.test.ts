import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { until } from "../../support/until.js";
import { connected, received } from "./support.js";

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

test("without the foreign-function interface limits hold as well", async () => {
  const program = fileURLToPath(new URL("programs/without-koffi.js", import.meta.url));
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [program], { timeout: 45_000 });
  assert.equal(stderr, "");
  assert.deepEqual(JSON.parse(stdout), { silentFirst: true, idle: 1, text: "done", cutOff: 0 });
});
