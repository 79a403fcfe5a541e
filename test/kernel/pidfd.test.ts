import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fstatSync, openSync, closeSync, readdirSync } from "node:fs";
import { createInterface } from "node:readline";
import { describe, test } from "node:test";
import { DeadpeerError, type ErrorCode } from "../../src/errors.js";
import { borrowSocket, ProcessHandle } from "../../src/kernel/pidfd.js";
import { listSockets } from "../../src/kernel/sock-diag.js";
import { readSettings, writeSettings } from "../../src/kernel/socket-options.js";
import { Sandbox } from "../support/sandbox.js";
import { loopbackConnection, needsRoot, runModule } from "./support.js";

function failsWith(code: ErrorCode, message: RegExp) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof DeadpeerError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  };
}

/** A Python with a listening socket as descriptor 3, which it replaces when told so. */
class Lender implements AsyncDisposable {
  readonly #child = spawn(
    "python3",
    [
      "-c",
      `import os, socket, sys
def listen():
    s = socket.create_server(("127.0.0.1", 0)); os.dup2(s.fileno(), 30); s.detach(); print(socket.socket(fileno=os.dup(30)).getsockname()[1], flush=True)
listen()
for line in sys.stdin:
    if line == "replace\\n": listen()
    if line == "close\\n": os.close(30); print("closed", flush=True)
    if line == "file\\n": os.dup2(os.open("/dev/null", os.O_RDONLY), 30); print("file", flush=True)`,
    ],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  readonly #lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  readonly fd = 30;

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** The next line; Python may write a line and its end one by one. */
  async said(): Promise<string> {
    const { value } = await this.#lines.next();
    return String(value);
  }

  async tell(what: "replace" | "close" | "file"): Promise<string> {
    this.#child.stdin.write(`${what}\n`);
    return this.said();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill("SIGKILL");
    await once(this.#child, "exit");
  }
}

function cookieOf(port: string): bigint {
  const [socket] = listSockets({ states: ["LISTEN"], local: { port: Number(port) } });
  assert.ok(socket !== undefined);
  return socket.cookie;
}

describe("borrowing a socket of another process", { skip: needsRoot }, () => {
  test("reads and changes the real one", async () => {
    await using lender = new Lender();
    await lender.said();
    {
      using socket = borrowSocket(lender.pid, lender.fd);
      assert.equal(readSettings(socket.fd).keepalive.enabled, false);
      writeSettings(socket.fd, {
        keepalive: { idleMs: 20_000, intervalMs: 5_000, count: 3 },
        userTimeoutMs: 35_000,
      });
    }
    using again = borrowSocket(lender.pid, lender.fd);
    const { keepalive, userTimeoutMs } = readSettings(again.fd);
    assert.deepEqual(keepalive, { enabled: true, idleMs: 20_000, intervalMs: 5_000, count: 3 });
    assert.equal(userTimeoutMs, 35_000);
  });

  test("gives the one that is meant, or none", async () => {
    await using lender = new Lender();
    const cookie = cookieOf(await lender.said());
    using handle = ProcessHandle.open(lender.pid);
    const meant = handle.borrow(lender.fd, cookie);
    assert.ok(meant !== null);
    meant.close();

    const next = cookieOf(await lender.tell("replace"));
    assert.equal(handle.borrow(lender.fd, cookie), null);
    const replaced = handle.borrow(lender.fd, next);
    assert.ok(replaced !== null);
    replaced.close();

    await lender.tell("file");
    assert.equal(handle.borrow(lender.fd, next), null);
    await lender.tell("close");
    assert.equal(handle.borrow(lender.fd, next), null);
    assert.throws(() => borrowSocket(lender.pid, lender.fd), failsWith("no-socket", /descriptor 30/));
  });

  test("leaves no descriptor open, whatever comes of it", async () => {
    await using lender = new Lender();
    const cookie = cookieOf(await lender.said());
    const before = readdirSync("/proc/self/fd").length;
    for (let round = 0; round < 100; round++) {
      using handle = ProcessHandle.open(lender.pid);
      handle.borrow(lender.fd, cookie)?.close();
      assert.equal(handle.borrow(lender.fd, cookie + 1n), null);
      assert.equal(handle.borrow(999, cookie), null);
      borrowSocket(lender.pid, lender.fd, cookie).close();
      assert.throws(
        () => borrowSocket(lender.pid, lender.fd, cookie + 1n),
        failsWith("no-socket", /no longer/),
      );
    }
    assert.equal(readdirSync("/proc/self/fd").length, before);
  });

  test("a process that ends meanwhile is no process, also when its number is used again", async () => {
    const lender = new Lender();
    await lender.said();
    using handle = ProcessHandle.open(lender.pid);
    await lender[Symbol.asyncDispose]();
    assert.throws(() => handle.borrow(lender.fd), failsWith("no-process", new RegExp(`${lender.pid}`)));
  });

  test("a number that another process has by now stands for the one that was opened", {
    skip: Sandbox.missing(),
  }, async () => {
    await using sandbox = await Sandbox.open();
    // In a PID namespace of its own the next number can be chosen (ns_last_pid, proc_sys_kernel(5)).
    const { stdout, stderr } = runModule(
      `const { ProcessHandle } = await import(src + "kernel/pidfd.js");
       const { processStartTicks } = await import(src + "kernel/processes.js");
       const { listSockets } = await import(src + "kernel/sock-diag.js");
       const { spawn } = await import("node:child_process");
       const { once } = await import("node:events");
       const { writeFileSync } = await import("node:fs");
       const text = 'import os, socket, time; s = socket.create_server(("127.0.0.1", 0)); os.dup2(s.fileno(), 30); print(s.getsockname()[1], flush=True); time.sleep(60)';
       async function lender() {
         const child = spawn("python3", ["-c", text], { stdio: ["ignore", "pipe", "inherit"] });
         const [port] = await once(child.stdout, "data");
         const [socket] = listSockets({ states: ["LISTEN"], local: { port: Number(port) } });
         return { child, cookie: socket.cookie };
       }
       const first = await lender();
       const { pid } = first.child;
       const opened = ProcessHandle.open(pid);
       const ticks = processStartTicks(pid);
       first.child.kill("SIGKILL");
       await once(first.child, "close");
       let second;
       for (let round = 0; round < 20; round++) {
         writeFileSync("/proc/sys/kernel/ns_last_pid", String(pid - 1));
         second = await lender();
         if (second.child.pid === pid) break;
         second.child.kill("SIGKILL");
       }
       const said = [second.child.pid === pid, processStartTicks(pid) !== ticks];
       try { opened.borrow(30); said.push("borrowed"); } catch (error) { said.push(error.code); }
       const anew = ProcessHandle.open(pid);
       said.push(anew.borrow(30, first.cookie) === null, anew.borrow(30, second.cookie) !== null);
       second.child.kill("SIGKILL");
       console.log(JSON.stringify(said));`,
      ["nsenter", "--target", String(sandbox.pid), "--mount", "--net", "--pid"],
    );
    assert.deepEqual(JSON.parse(stdout || "null"), [true, true, "no-process", true, true], stderr);
  });

  test("without privilege says which is missing", async () => {
    await using lender = new Lender();
    await lender.said();
    const { stdout, stderr } = runModule(
      `const { borrowSocket } = await import(src + "kernel/pidfd.js");
       try { borrowSocket(${lender.pid}, ${lender.fd}); } catch (error) { console.log(error.code, error.errno, error.message); }`,
      [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--bounding-set=-all",
        "--inh-caps=-all",
      ],
    );
    assert.match(stdout, /^permission-denied EPERM .*CAP_SYS_PTRACE/, stderr);
  });
});

test("one's own sockets can be borrowed without privilege", async () => {
  await using connection = await loopbackConnection();
  using borrowed = borrowSocket(process.pid, connection.clientFd);
  assert.notEqual(borrowed.fd, connection.clientFd);
  assert.equal(fstatSync(borrowed.fd).ino, fstatSync(connection.clientFd).ino);
});

test("a file is no socket with any cookie", () => {
  const file = openSync("/dev/null", "r");
  try {
    using handle = ProcessHandle.open(process.pid);
    assert.equal(handle.borrow(file, 1n), null);
  } finally {
    closeSync(file);
  }
});

test("processes that do not exist", () => {
  for (const pid of [4_194_305, 0, -1])
    assert.throws(() => ProcessHandle.open(pid), failsWith("no-process", /no process/));
});
