import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Tracefs } from "../../src/kernel/trace/tracefs.js";
import { needsRoot } from "../kernel/support.js";
import { cli } from "../support/checkout.js";
import { until } from "../support/until.js";

class Running {
  static readonly all: Running[] = [];
  readonly process: ChildProcess;
  out = "";
  err = "";

  constructor(args: readonly string[], wrapper: readonly string[] = []) {
    const [program = "", ...rest] = [...wrapper, process.execPath, cli, "watch", ...args];
    this.process = spawn(program, rest, { stdio: ["ignore", "pipe", "pipe"] });
    Running.all.push(this);
    this.process.stdout?.setEncoding("utf8").on("data", (text: string) => (this.out += text));
    this.process.stderr?.setEncoding("utf8").on("data", (text: string) => (this.err += text));
  }

  static async start(args: readonly string[], wrapper: readonly string[] = []): Promise<Running> {
    const running = new Running(args, wrapper);
    await until(() => running.err.includes("watching "));
    return running;
  }

  get lines(): string[] {
    return this.out.split("\n").filter((line) => line !== "");
  }

  async ends(signal?: NodeJS.Signals): Promise<number | null> {
    const { process } = this;
    if (process.exitCode !== null) return process.exitCode;
    if (signal !== undefined) process.kill(signal);
    const [status] = (await once(process, "close")) as [number | null];
    return status;
  }
}

/** Trace instances of a process's watches. */
function instancesOf(pid: number | undefined): string[] {
  using tracefs = Tracefs.open();
  return tracefs.instances().filter((name) => name.startsWith(`dp-watch-${pid}-`));
}

describe("deadpeer watch", { skip: needsRoot, timeout: 120_000 }, () => {
  let server: Server;
  let port: string;
  let folder: string;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "deadpeer-watch-test-"));
    server = createServer((socket) => socket.on("error", () => {}).resume());
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    port = String((server.address() as AddressInfo).port);
  });

  after(() => {
    // What a failed test has left would keep this file from ending.
    for (const { process } of Running.all) process.kill("SIGKILL");
    server.close();
    rmSync(folder, { recursive: true });
  });

  /** Begins and ends a connection: two deaths. */
  async function die(): Promise<void> {
    const socket = connect(Number(port), "127.0.0.1");
    socket.end("bye");
    socket.resume();
    await once(socket, "close");
  }

  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    test(`${signal} ends it: status 0, a summary, nothing left`, async () => {
      const watch = await Running.start(["--port", port]);
      assert.equal(instancesOf(watch.process.pid).length, 1);
      await die();
      await until(() => watch.lines.length === 3);
      assert.equal(await watch.ends(signal), 0);
      assert.match(watch.err, /deadpeer: 2 deaths in [\d.]+m?s: 1 closed, 1 local; no events lost\n$/);
      assert.deepEqual(instancesOf(watch.process.pid), []);
    });

  test("a line for people says it all", async () => {
    const watch = await Running.start(["--port", port, "--for", "60s"]);
    await die();
    await until(() => watch.lines.length === 3);
    await watch.ends("SIGINT");
    const [titles = "", ...lines] = watch.lines;
    assert.match(
      titles,
      /^TIME +VERDICT +UNNOTICED +TIMER +PROCESS +CONNECTION +WAS +LIVED +SENT +RECEIVED +WHY$/,
    );
    const closed = lines.find((line) => line.includes("  closed  ")) ?? "";
    assert.match(
      closed,
      new RegExp(
        String.raw`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  closed +\d+m?s +- +\S+ ${process.pid} +127\.0\.0\.1:${port} ← 127\.0\.0\.1:\d+ +LAST_ACK +\d+m?s +0B +3B  The peer ended the connection in order\.$`,
      ),
    );
    // Columns stand below their titles.
    for (const line of lines) assert.equal(line[titles.indexOf("VERDICT") - 1], " ");
  });

  test("--json: one object a line, at once, in the agreed shape", async () => {
    const watch = await Running.start(["--port", port, "--json", "--only", "closed,silent"]);
    await die();
    await until(() => watch.lines.length === 1);
    const told = JSON.parse(watch.lines[0] ?? "") as Record<string, unknown>;
    const { at, netns, local, remote, state, processes, lifetimeMs, bytes, verdict } = told;
    assert.ok(typeof at === "string" && new Date(at).toISOString() === at);
    assert.equal(typeof netns, "string");
    assert.deepEqual(local, { address: "127.0.0.1", port: Number(port) });
    assert.equal((remote as AddressInfo).address, "127.0.0.1");
    assert.equal(state, "LAST_ACK");
    assert.equal((processes as { pid: number }[])[0]?.pid, process.pid);
    assert.equal(typeof lifetimeMs, "number");
    assert.deepEqual(bytes, { sent: 0, received: 3 });
    const figures = verdict as Record<string, unknown>;
    assert.equal(figures["state"], "closed");
    for (const key of ["timer", "errno", "lastHeardMs", "detectedAfterMs", "certainty", "sentence"])
      assert.ok(key in figures, key);
    assert.equal(await watch.ends("SIGTERM"), 0);
    assert.equal(watch.lines.length, 1);
  });

  test("--for ends it by itself", async () => {
    const watch = new Running(["--port", port, "--for", "300ms"]);
    assert.equal(await watch.ends(), 0);
    assert.match(
      watch.err,
      /deadpeer: 0 deaths in [34]\d\dms; no events lost\n$|deadpeer: 0 deaths in [\d.]+s/,
    );
    assert.deepEqual(instancesOf(watch.process.pid), []);
  });

  test("a reader that has read enough ends it", async () => {
    const watch = await Running.start(["--port", port, "--json"]);
    await die();
    await until(() => watch.lines.length > 0);
    watch.process.stdout?.destroy();
    await die();
    assert.equal(await watch.ends(), 0);
    assert.deepEqual(instancesOf(watch.process.pid), []);
  });

  test("a reader that reads nothing is no reason not to end", async () => {
    const script = `exec '${process.execPath}' '${cli}' watch --json --port ${port}`;
    const child = spawn("sh", ["-c", `${script} | (trap '' INT; exec sleep 1000)`], {
      stdio: ["ignore", "ignore", "pipe"],
      detached: true,
    });
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
    await until(() => said.includes("watching "));
    // More than a pipe holds.
    for (let count = 0; count < 60; count++) await Promise.all(Array.from({ length: 5 }, die));
    const group = -(child.pid as number);
    // The reader stays: one that ends as well would end the watch before it can say anything.
    process.kill(group, "SIGINT");
    try {
      await until(() => / deaths in /.test(said));
    } finally {
      process.kill(group, "SIGKILL");
      await once(child, "close");
    }
  });

  test("killed, it leaves a trace instance that the next one removes", async () => {
    const killed = await Running.start(["--port", port]);
    const { pid } = killed.process;
    await killed.ends("SIGKILL");
    assert.equal(instancesOf(pid).length, 1);
    assert.equal(await new Running(["--for", "100ms", "--port", port]).ends(), 0);
    assert.deepEqual(instancesOf(pid), []);
  });

  test("--exec: each verdict on its standard input; what it prints is not in the way; its failures are said", async () => {
    const file = join(folder, "told");
    const watch = await Running.start([
      "--port",
      port,
      "--json",
      "--exec",
      `cat >> '${file}'; echo printed; exit 7`,
    ]);
    await die();
    await until(() => watch.err.split("ended with status 7").length === 3);
    assert.equal(await watch.ends("SIGINT"), 0);
    const told = readFileSync(file, "utf8").trim().split("\n").sort();
    assert.deepEqual(told, watch.lines.sort());
    assert.ok(!watch.out.includes("printed") && watch.err.includes("printed"));
    assert.match(watch.err, /; 2 commands run, 2 of them failed\n$/);
  });

  test("--exec: a command that does not read its standard input is no trouble", async () => {
    const watch = await Running.start(["--port", port, "--exec", "exit 0"]);
    await Promise.all(Array.from({ length: 20 }, die));
    await until(() => watch.lines.length === 41);
    assert.equal(await watch.ends("SIGINT"), 0);
    assert.match(watch.err, /; 40 commands run\n$/);
  });

  test("--exec: commands that do not end are ended, with all that they have started", async () => {
    const file = join(folder, "pids");
    const watch = await Running.start(["--port", port, "--exec", `sleep 1000 & echo $! >> '${file}'; wait`]);
    await Promise.all(Array.from({ length: 5 }, die));
    const pids = (): string[] => (existsSync(file) ? readFileSync(file, "utf8").trim().split("\n") : []);
    await until(() => pids().length === 4);
    const before = Date.now();
    assert.equal(await watch.ends("SIGINT"), 0);
    assert.ok(Date.now() - before < 15_000);
    assert.match(watch.err, /; 4 commands run, 4 of them failed, 6 not run\n$/);
    await until(() => pids().every((pid) => !existsSync(`/proc/${pid}`)));
  });

  const refused: readonly [args: readonly string[], said: RegExp][] = [
    [["--only", "silnt"], /--only: there is no verdict "silnt"; did you mean silent\?/],
    [["--for", "3"], /--for: "3" has no unit/],
    [["--for", "0"], /--for: 0 is no time to watch/],
    [["--for", "30d"], /--for: 30d is too long/],
    [["--exec", " "], /--exec: a command is missing/],
    [["--state", "listen"], /--state: a listener is no connection/],
    [["--pid", "4194303"], /--pid 4194303: there is no such process/],
    [["--netns", "/no/such"], /there is no network namespace at \/no\/such/],
  ];
  for (const [args, said] of refused)
    test(`watch ${args.join(" ")} is refused in one line`, () => {
      const { status, stdout, stderr } = spawnSync(process.execPath, [cli, "watch", ...args], {
        encoding: "utf8",
      });
      assert.equal(status, 2, stderr);
      assert.equal(stdout, "");
      assert.match(stderr, said);
      assert.equal(stderr.trim().split("\n").length, 1, stderr);
    });

  test("without root the lists are compared, which it says in one line", async () => {
    const nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    const socket = connect(Number(port), "127.0.0.1");
    await once(socket, "connect");
    const own = String(socket.localPort);
    const watch = await Running.start(["--local", `127.0.0.1:${own}`, "--json"], nobody);
    socket.end();
    await once(socket.resume(), "close");
    await until(() => watch.lines.length === 1);
    const { source, verdict } = JSON.parse(watch.lines[0] ?? "") as {
      source: string;
      verdict: { state: string; certainty: string };
    };
    assert.deepEqual([source, verdict.state, verdict.certainty], ["list", "local", "likely"]);
    assert.equal(await watch.ends("SIGTERM"), 0);
    assert.equal(watch.err.split("\n").filter((line) => line.includes("lists are compared")).length, 1);
  });
});
