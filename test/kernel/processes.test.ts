import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, fstatSync, openSync, readdirSync, readFileSync } from "node:fs";
import type { Readable, Writable } from "node:stream";
import { currentNamespace } from "../../src/kernel/namespaces.js";
import {
  processCgroup,
  processIds,
  processName,
  processNamespace,
  processStartTicks,
  socketHolders,
} from "../../src/kernel/processes.js";
import { describe, test } from "node:test";
import { loopbackConnection, needsRoot, runModule } from "./support.js";

// Nobody else's: processes of the same user, another test's say, could be looked into.
const ownUser = 1_000_000 + process.pid;
/** Another user without any capability. */
const unprivileged = [
  "setpriv",
  `--reuid=${ownUser}`,
  `--regid=${ownUser}`,
  "--clear-groups",
  "--bounding-set=-all",
  "--inh-caps=-all",
];

/** A number that no process can have: above the largest pid_max. */
const nobody = 4_194_305;

/** A Python that holds what it is given as descriptor 3 also as 4 and 5, under a name with spaces and parentheses. */
async function holder(fd: number): Promise<{ pid: number; end: () => Promise<void> }> {
  const script =
    "import os,sys; os.dup2(3, 4); os.dup2(3, 5); open('/proc/self/comm', 'w').write('a) b (c'); print('ready', flush=True); sys.stdin.read()";
  const child = spawn("python3", ["-c", script], { stdio: ["pipe", "pipe", "inherit", fd] });
  await once(child.stdout as NodeJS.ReadableStream, "data");
  return {
    pid: child.pid ?? 0,
    end: async () => {
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
}

describe("who holds a socket", () => {
  test("every process and descriptor, by name", async () => {
    await using connection = await loopbackConnection();
    const { clientFd } = connection;
    const inode = fstatSync(clientFd).ino;
    const other = await holder(clientFd);
    try {
      const { holders } = socketHolders();
      const own = { pid: process.pid, name: processName(process.pid), fd: clientFd };
      const theirs = [3, 4, 5].map((fd) => ({ pid: other.pid, name: "a) b (c", fd }));
      const byPid = [own, ...theirs].sort((a, b) => a.pid - b.pid || a.fd - b.fd);
      assert.deepEqual(holders.get(inode), byPid);
      assert.deepEqual(socketHolders({ pids: [other.pid] }).holders.get(inode), theirs);
      assert.equal(socketHolders({ pids: [nobody] }).holders.size, 0);
    } finally {
      await other.end();
    }
    assert.deepEqual(
      socketHolders({ inodes: new Set([inode]) }).holders,
      new Map([[inode, [{ pid: process.pid, name: processName(process.pid), fd: clientFd }]]]),
    );
  });

  test("nothing else than sockets", () => {
    const file = openSync("/dev/null", "r");
    try {
      const { holders } = socketHolders({ pids: [process.pid] });
      assert.ok([...holders.values()].flat().every(({ fd }) => fd !== file));
    } finally {
      closeSync(file);
    }
  });

  test("leaves no descriptor open", () => {
    const before = readdirSync("/proc/self/fd").length;
    socketHolders();
    socketHolders({ pids: [nobody, process.pid] });
    assert.equal(readdirSync("/proc/self/fd").length, before);
  });

  test("processes that come and go are passed over", async () => {
    const churn = spawn("sh", ["-c", "while :; do /bin/true; done"], { stdio: "ignore" });
    try {
      for (let round = 0; round < 20; round++) socketHolders();
    } finally {
      churn.kill("SIGKILL");
      await once(churn, "exit");
    }
  });

  test("without privilege, own processes are seen and the others are counted", { skip: needsRoot }, () => {
    const { stdout, stderr } = runModule(
      `const { createServer } = await import("node:net");
       const { socketHolders } = await import(src + "kernel/processes.js");
       const server = createServer().listen(0, () => {
         const { holders, unreadable } = socketHolders();
         const own = [...holders.values()].flat().some(({ pid }) => pid === process.pid);
         const foreign = [...holders.values()].flat().some(({ pid }) => pid !== process.pid);
         console.log(JSON.stringify({ own, foreign, unreadable: unreadable > 0 }));
         server.close();
       });`,
      unprivileged,
    );
    assert.equal(stdout, `${JSON.stringify({ own: true, foreign: false, unreadable: true })}\n`, stderr);
  });

  test("with privilege nothing is unreadable, also the kernel's own threads", { skip: needsRoot }, () => {
    assert.equal(socketHolders().unreadable, 0);
  });

  test("the kernel's own threads are not counted as unreadable", { skip: needsRoot }, (context) => {
    const thread = processIds().find(
      (pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8") === "" && processName(pid).startsWith("k"),
    );
    if (thread === undefined) return context.skip("no kernel thread is visible here");
    const { stdout, stderr } = runModule(
      `const { socketHolders } = await import(src + "kernel/processes.js");
       console.log(socketHolders({ pids: [${thread}] }).unreadable, socketHolders({ pids: [1] }).unreadable);`,
      unprivileged,
    );
    assert.equal(stdout, "0 1\n", stderr);
  });
});

describe("about one process", () => {
  test("its start, also with a name that tries to confuse", async () => {
    await using connection = await loopbackConnection();
    const other = await holder(connection.clientFd);
    try {
      const ticks = processStartTicks(other.pid);
      const uptimeTicks = Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]) * 100;
      assert.ok(ticks !== null && ticks > 0 && ticks <= uptimeTicks + 1);
      assert.ok(ticks >= (processStartTicks(process.pid) ?? Infinity));
      assert.equal(processStartTicks(other.pid), ticks);
      assert.equal(processNamespace(other.pid), currentNamespace().id);
      assert.equal(processCgroup(other.pid), processCgroup(process.pid));
    } finally {
      await other.end();
    }
  });

  test("that is none", () => {
    assert.equal(processName(nobody), "");
    assert.equal(processStartTicks(nobody), null);
    assert.equal(processNamespace(nobody), null);
    assert.equal(processCgroup(nobody), null);
  });

  test("that has ended, though its parent has not taken note of it", async () => {
    // The child ends when it has read its end of the pipe; cat, whose child it then is, waits for no children.
    const parent = spawn("sh", ["-c", "cat <&3 & echo $!; exec cat"], {
      stdio: ["pipe", "pipe", "inherit", "pipe"],
    });
    try {
      const [said] = (await once(parent.stdout as Readable, "data")) as [Buffer];
      const pid = Number(said.toString());
      assert.notEqual(processStartTicks(pid), null);
      (parent.stdio[3] as Writable).end();
      while (!/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8")))
        await new Promise((resolve) => setImmediate(resolve));
      assert.equal(processStartTicks(pid), null);
    } finally {
      parent.kill();
      await once(parent, "exit");
    }
  });

  test("that may not be looked into", { skip: needsRoot }, () => {
    const { stdout, stderr } = runModule(
      `const { processNamespace } = await import(src + "kernel/processes.js");
       try { processNamespace(1); } catch (error) { console.log(error.code, error.errno); }`,
      unprivileged,
    );
    assert.equal(stdout, "permission-denied EACCES\n", stderr);
  });

  test("processes are listed by number", () => {
    const ids = processIds();
    assert.ok(ids.includes(process.pid));
    assert.deepEqual(
      ids,
      ids.toSorted((a, b) => a - b),
    );
  });
});
