import { newOwnedName } from "../../src/kernel/owned-names.js";
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, readlinkSync, statSync, writeFileSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { after, before, describe, test } from "node:test";
import { Worker } from "node:worker_threads";
import { DeadpeerError, type ErrorCode } from "../../src/errors.js";
import {
  allNamespaces,
  currentNamespace,
  inNamespace,
  type NetworkNamespace,
  namespaceAt,
} from "../../src/kernel/namespaces.js";
import { readSysctl, writeSysctl } from "../../src/kernel/sysctl.js";
import { asRoot, builtSource, needsRoot, run, runModule } from "./support.js";

const name = `${newOwnedName("lab")}-ns`;
const home = readlinkSync("/proc/thread-self/ns/net");

function failsWith(code: ErrorCode, message: RegExp) {
  return (error: unknown): boolean =>
    error instanceof DeadpeerError && error.code === code && message.test(error.message);
}

/** Starts a process in a namespace of its own that has no name. */
async function unnamedNamespace(): Promise<{ pid: number; end: () => Promise<void> }> {
  const child = spawn("unshare", ["--net", "sh", "-c", "echo ready; exec sleep 60"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  return {
    pid: child.pid ?? 0,
    end: async () => {
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
}

test("the own namespace has the inode that /proc shows", () => {
  assert.equal(`net:[${currentNamespace().id}]`, home);
});

test("namespaces that are none", () => {
  assert.throws(
    () => namespaceAt("dp-test-nowhere"),
    failsWith("no-namespace", /\/run\/netns\/dp-test-nowhere/),
  );
  assert.throws(() => namespaceAt("/proc/0/ns/net"), failsWith("no-namespace", /\/proc\/0\/ns\/net/));
  assert.throws(() => namespaceAt("/etc/passwd"), failsWith("no-namespace", /is not a network namespace/));
});

test("work in the own namespace needs no privilege", () => {
  const { status, stdout, stderr } = runModule(
    `const { inNamespace, currentNamespace } = await import(src + "kernel/namespaces.js");
     console.log(inNamespace(currentNamespace(), () => 42));`,
    asRoot ? ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] : [],
  );
  assert.equal(stdout, "42\n", stderr);
  assert.equal(status, 0);
});

describe("a named namespace", { skip: needsRoot, timeout: 60_000 }, () => {
  let namespace: NetworkNamespace;
  before(() => {
    run("ip", ["netns", "add", name]);
    namespace = namespaceAt(name);
  });
  after(() => {
    run("ip", ["netns", "del", name]);
  });

  test("is found by name, by path, and among all, once", () => {
    const id = String(statSync(`/run/netns/${name}`).ino);
    assert.deepEqual(namespace, { id, path: `/run/netns/${name}`, name });
    assert.deepEqual(namespaceAt(`/run/netns/${name}`), namespace);
    const { namespaces } = allNamespaces();
    assert.deepEqual(
      namespaces.filter((each) => each.id === id),
      [namespace],
    );
    assert.equal(namespaces[0]?.id, currentNamespace().id);
    assert.equal(new Set(namespaces.map((each) => each.id)).size, namespaces.length);
  });

  test("work inside sees its sysctls and sockets, and work after does not", () => {
    const outside = readSysctl("net.ipv4.tcp_retries2");
    inNamespace(namespace, () => writeSysctl("net.ipv4.tcp_retries2", 7));
    assert.equal(
      inNamespace(namespace, () => readSysctl("net.ipv4.tcp_retries2")),
      "7",
    );
    assert.equal(readSysctl("net.ipv4.tcp_retries2"), outside);
    assert.equal(run("ip", ["netns", "exec", name, "sysctl", "-n", "net.ipv4.tcp_retries2"]), "7\n");
    assert.equal(
      inNamespace(namespace, () => currentNamespace().name),
      name,
    );
    assert.equal(readlinkSync("/proc/thread-self/ns/net"), home);
  });

  test("a socket made inside stays there", async () => {
    run("ip", ["-n", name, "link", "set", "lo", "up"]);
    const server = createServer();
    // Without an address, which would have to be looked up first, listen() opens its socket at once.
    inNamespace(namespace, () => server.listen(0));
    try {
      await once(server, "listening");
      const { port } = server.address() as AddressInfo;
      const shown = run("ip", ["netns", "exec", name, "ss", "-tlnH", "sport", "=", `:${port}`]);
      assert.match(shown, new RegExp(`:${port}\\b`));
    } finally {
      server.close();
    }
    await once(server, "close");
  });

  test("no thread is left inside", () => {
    inNamespace(namespace, () => {});
    for (const task of readdirSync("/proc/self/task"))
      assert.equal(readlinkSync(`/proc/self/task/${task}/ns/net`), home);
  });

  test("an error inside comes out, after the way back", () => {
    const error = new Error("inside");
    assert.throws(
      () =>
        inNamespace(namespace, () => {
          throw error;
        }),
      error,
    );
    assert.equal(readlinkSync("/proc/thread-self/ns/net"), home);
  });

  test("nested: each way back leads to where it came from", async () => {
    const other = await unnamedNamespace();
    try {
      const inner = namespaceAt(`/proc/${other.pid}/ns/net`);
      const ids = inNamespace(namespace, () => [
        inNamespace(inner, () => currentNamespace().id),
        currentNamespace().id,
      ]);
      assert.deepEqual(ids, [inner.id, namespace.id]);
    } finally {
      await other.end();
    }
  });

  test("asynchronous work is refused", () => {
    assert.throws(
      () => inNamespace(namespace, async () => {}),
      failsWith("bad-option", /synchronous functions only/),
    );
    assert.throws(
      () => inNamespace(currentNamespace(), async () => {}),
      failsWith("bad-option", /synchronous/),
    );
    assert.equal(readlinkSync("/proc/thread-self/ns/net"), home);
  });

  test("without CAP_SYS_ADMIN it cannot be entered, and the error says so", () => {
    const { stdout, stderr } = runModule(
      `const { inNamespace, namespaceAt } = await import(src + "kernel/namespaces.js");
       try { inNamespace(namespaceAt(${JSON.stringify(name)}), () => {}); }
       catch (error) { console.log(error.code, error.errno, error.message); }`,
      ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"],
    );
    assert.match(stdout, /^permission-denied EPERM .*CAP_SYS_ADMIN/, stderr);
  });

  test("if the way back fails the process ends, rather than go on in the wrong namespace", () => {
    const { signal, stdout, stderr } = runModule(
      `const { inNamespace, namespaceAt } = await import(src + "kernel/namespaces.js");
       // Gives up CAP_SYS_ADMIN while inside.
       inNamespace(namespaceAt(${JSON.stringify(name)}), () => process.setuid(65534));
       console.log("went on");`,
      ["prlimit", "--core=0"],
    );
    assert.equal(signal, "SIGABRT");
    assert.match(stderr, /^deadpeer: cannot return to the own network namespace \(setns: EPERM\)/);
    assert.equal(stdout, "");
  });

  test("a worker goes and comes back alone", async () => {
    const worker = new Worker(
      `const { parentPort, workerData } = require("node:worker_threads");
       import(workerData.src + "kernel/namespaces.js").then(({ inNamespace, namespaceAt, currentNamespace }) => {
         const inside = inNamespace(namespaceAt(workerData.name), () => [currentNamespace().name,
           require("node:fs").readlinkSync("/proc/self/ns/net")]);
         parentPort.postMessage([...inside, currentNamespace().id]);
       });`,
      { eval: true, workerData: { src: builtSource.href, name } },
    );
    try {
      const [[inside, mainThread, after]] = (await once(worker, "message")) as [[string, string, string]];
      assert.deepEqual([inside, mainThread, `net:[${after}]`], [name, home, home]);
    } finally {
      await worker.terminate();
    }
  });

  test("a namespace of another kind is refused", () => {
    assert.throws(
      () => inNamespace(namespaceAt("/proc/self/ns/uts"), () => {}),
      failsWith("no-namespace", /not of a network/),
    );
  });

  test("a leftover file below /run/netns is passed over", () => {
    const leftover = `/run/netns/${newOwnedName("lab")}-leftover`;
    writeFileSync(leftover, "");
    try {
      assert.throws(() => namespaceAt(leftover), failsWith("no-namespace", /is not a network namespace/));
      assert.ok(allNamespaces().namespaces.every((each) => each.path !== leftover));
    } finally {
      rmSync(leftover);
    }
  });

  test("a namespace that only a process holds is found through it, and gone after it", async () => {
    const child = await unnamedNamespace();
    let found: NetworkNamespace | undefined;
    try {
      const id = String(statSync(`/proc/${child.pid}/ns/net`).ino);
      found = allNamespaces().namespaces.find((each) => each.id === id);
      assert.deepEqual(found, { id, path: `/proc/${child.pid}/ns/net`, name: null });
      // A namespace no one has set up has its loopback interface alone.
      const devices = inNamespace(found, () => readFileSync("/proc/thread-self/net/dev", "utf8"));
      assert.deepEqual(devices.match(/^ *\w+(?=:)/gm), ["    lo"]);
    } finally {
      await child.end();
    }
    const gone = failsWith("no-namespace", /no network namespace at/);
    assert.throws(() => inNamespace(found, () => {}), gone);
    // The path now stands for another namespace.
    assert.throws(() => inNamespace({ ...found, path: namespace.path }, () => {}), gone);
  });

  test("processes that may not be looked at are counted", () => {
    const { stdout, stderr } = runModule(
      `const { allNamespaces } = await import(src + "kernel/namespaces.js");
       const { namespaces, unreadable } = allNamespaces();
       console.log(namespaces.length > 0, unreadable > 0);`,
      ["setpriv", "--bounding-set=-all", "--inh-caps=-all"],
    );
    assert.equal(stdout, "true true\n", stderr);
  });
});
