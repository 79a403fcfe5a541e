import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Network } from "../../src/lab/network.js";
import { sweep } from "../../src/lab/sweep.js";
import { startProgram } from "../support/programs.js";
import { labNamespaces, needsLab } from "./support.js";

const module = fileURLToPath(new URL("../../src/lab/network.js", import.meta.url));

/** A process that owns a lab with a program inside, and says so. */
const owner = `
  const { Network } = await import(${JSON.stringify(module)});
  const network = await Network.create({ client: {}, server: {} });
  const inside = network.host("client").spawn("sleep", ["1000"], { stdio: "ignore" });
  (await import("node:fs")).mkdirSync((await import("node:os")).tmpdir() + "/" + network.prefix + "-folder");
  console.log("inside " + inside.pid);
  console.log("ready");
  setInterval(() => {}, 1000);
`;

interface Owner {
  readonly process: ChildProcess;
  readonly pid: number;
  readonly inside: number;
  readonly folder: string;
}

async function startOwner(): Promise<Owner> {
  const program = startProgram([process.execPath, "--input-type=module", "-e"], owner);
  let output = "";
  program.process.stdout?.on("data", (text: string) => (output += text));
  await program.says("ready");
  const pid = program.process.pid as number;
  const folder = readdirSync(tmpdir()).find((name) => name.startsWith(`dp-lab-${pid}-`)) ?? "";
  return {
    process: program.process,
    pid,
    inside: Number(/inside (\d+)/.exec(output)?.[1]),
    folder: join(tmpdir(), folder),
  };
}

describe("a network of hosts", { skip: needsLab, timeout: 60_000 }, () => {
  test("stands at once over both families, and goes without a trace", async () => {
    const network = await Network.create({ client: {}, server: {} });
    try {
      for (const family of [4, 6] as const) {
        const server = network
          .host("server")
          .spawn(
            process.execPath,
            [
              "-e",
              `require("net").createServer(s => s.end("hello")).listen(7000, () => console.log("ready"))`,
            ],
            { stdio: ["ignore", "pipe", "inherit"] },
          );
        await once(server.stdout as NonNullable<typeof server.stdout>, "data");
        const client = network
          .host("client")
          .spawn(
            process.execPath,
            [
              "-e",
              `const b=performance.now(); require("net").connect(7000, ${JSON.stringify(network.host("server").address(family))}).on("data", d => console.log(String(d) + (performance.now() - b < 900 ? " quickly" : " slowly")))`,
            ],
            { stdio: ["ignore", "pipe", "inherit"] },
          );
        const [said] = (await once(client.stdout as NonNullable<typeof client.stdout>, "data")) as [Buffer];
        // A second more, and a neighbour or an address was not ready.
        assert.equal(said.toString(), "hello quickly\n");
        server.kill("SIGKILL");
        await once(server, "exit");
      }
      assert.equal(labNamespaces(process.pid).length, 3);
    } finally {
      await network[Symbol.asyncDispose]();
    }
    assert.deepEqual(labNamespaces(process.pid), []);
    // Twice does no harm.
    await network[Symbol.asyncDispose]();
  });

  test("what cannot be made leaves nothing behind", async () => {
    await assert.rejects(Network.create({ client: { sysctls: { "net.ipv4.no_such_thing": 1 } } }), {
      code: "feature-missing",
    });
    for (const name of ["a name with spaces", "far-too-long-a-name", "router", ""])
      await assert.rejects(Network.create({ [name]: {} }), { code: "bad-option" });
    await assert.rejects(Network.create({ client: {} }, { signal: AbortSignal.abort() }));
    assert.deepEqual(labNamespaces(process.pid), []);
  });

  test("what a program leaves in the background ends with its host, by a crash too", async () => {
    const network = await Network.create({ client: {}, server: {} });
    try {
      for (const [host, end] of [
        ["client", () => network.host("client").crash()],
        ["server", () => network[Symbol.asyncDispose]()],
      ] as const) {
        const background = "setsid sleep 1000 > /dev/null & echo $!";
        const shell = network
          .host(host)
          .spawn("sh", ["-c", background], { stdio: ["ignore", "pipe", "inherit"] });
        const [said] = (await once(shell.stdout as NonNullable<typeof shell.stdout>, "data")) as [Buffer];
        const pid = Number(said.toString());
        assert.ok(existsSync(`/proc/${pid}`));
        await end();
        await gone(pid);
      }
    } finally {
      await network[Symbol.asyncDispose]();
    }
  });

  test("a rebooted host has its address and no memory; the crashed one answers nothing", async () => {
    await using network = await Network.create({ client: {}, server: {} });
    const server = network.host("server");
    const program = server.spawn("sleep", ["1000"], { stdio: "ignore" });
    const before = server.namespace.id;
    const ended = once(program, "exit");
    await server.crash();
    await ended;
    assert.equal(server.crashed, true);
    await network.reboot("server");
    assert.equal(server.crashed, false);
    assert.notEqual(server.namespace.id, before);
    const ip = ["-n", server.namespaceName, "-o", "address", "show", "dev", "wire"];
    const text = spawnSync("ip", ip, { encoding: "utf8" }).stdout;
    for (const family of [4, 6] as const) assert.ok(text.includes(server.address(family)));
  });
});

describe("sweeping", { skip: needsLab, timeout: 60_000 }, () => {
  test("takes what a killed owner left, processes and folders included, and nothing of the living", async () => {
    const [killed, living] = await Promise.all([startOwner(), startOwner()]);
    try {
      process.kill(killed.pid, "SIGKILL");
      await once(killed.process, "exit");
      assert.equal(labNamespaces(killed.pid).length, 3, "without a sweep they stay");
      assert.ok(existsSync(`/proc/${killed.inside}`));
      const theirs = labNamespaces(killed.pid);
      const swept = await sweep();
      // Another test's sweep may have been quicker with some of them.
      assert.ok(swept.every((name) => !name.startsWith(`dp-lab-${living.pid}-`)));
      assert.deepEqual(labNamespaces(killed.pid), [], `${theirs.join(", ")} should be gone`);
      await gone(killed.inside);
      assert.ok(!existsSync(killed.folder));
      assert.equal(labNamespaces(living.pid).length, 3);
      assert.ok(existsSync(`/proc/${living.inside}`));
      assert.ok(existsSync(living.folder));
    } finally {
      living.process.kill("SIGKILL");
      await once(living.process, "exit");
      await sweep();
    }
    assert.deepEqual(labNamespaces(living.pid), []);
  });

  test("a folder that only looks like a lab's is left alone", async () => {
    const folder = join(tmpdir(), `dp-lab-mine-${process.pid}`);
    mkdirSync(folder);
    await sweep();
    assert.ok(existsSync(folder));
    const remove = spawn("rmdir", [folder]);
    await once(remove, "exit");
  });
});

/** A killed process is gone once its parent has taken note of it. */
async function gone(pid: number): Promise<void> {
  while (existsSync(`/proc/${pid}`)) await new Promise((resolve) => setImmediate(resolve));
}
