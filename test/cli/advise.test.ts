import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import type { ProgramFacts } from "../../src/host/advise/facts.js";
import type { Way } from "../../src/host/advise/way.js";
import { checkout, cli } from "../support/checkout.js";
import { Hosts, needsNamespaces } from "../support/namespaces.js";

interface Answer extends Pick<ProgramFacts, "family" | "connections" | "cgroup" | "netns" | "unseen"> {
  readonly finding: string;
  readonly ways: readonly Way[];
}

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function deadpeer(...args: readonly string[]): Outcome {
  return spawnSync(process.execPath, [cli, ...args], { encoding: "utf8" });
}

function advise(pid: number): Answer {
  const { status, stdout, stderr } = deadpeer("advise", "--pid", String(pid), "--json");
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout) as Answer;
}

/** Runs a command as it was printed, in a shell that knows this checkout's deadpeer. */
function paste(command: string): Outcome {
  const text = `deadpeer() { '${process.execPath}' '${cli}' "$@"; }\n${command}`;
  return spawnSync("sh", ["-c", text], { encoding: "utf8", cwd: checkout });
}

/** Connects to address and port given, twice, and waits. */
const holder = `
import socket, sys, time
held = [socket.create_connection((sys.argv[1], int(sys.argv[2]))) for _ in range(2)]
listener = socket.create_server(("0.0.0.0", int(sys.argv[3])))
print("here", flush=True)
sys.stdin.read()
`;

describe("deadpeer advise, of real programs", { skip: needsNamespaces, timeout: 60_000 }, () => {
  let hosts: Hosts;
  let server: Server;
  const accepted: Socket[] = [];
  const started: ChildProcess[] = [];
  const port = 7_601;

  before(() => {
    hosts = new Hosts();
    server = createServer((socket) => accepted.push(socket.on("error", () => {})));
    hosts.in("far", () => server.listen(port));
  });

  after(async () => {
    for (const child of started) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    }
    for (const socket of accepted) socket.destroy();
    server.close();
    hosts[Symbol.dispose]();
  });

  async function start(...command: readonly string[]): Promise<ChildProcess & { pid: number }> {
    const child = spawn("ip", ["netns", "exec", hosts.name("near"), ...command], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    started.push(child);
    const ended = once(child, "exit").then(() => {
      throw new Error(`${command.join(" ")} has ended`);
    });
    ended.catch(() => {});
    await Promise.race([once(child.stdout, "data"), ended]);
    return child as ChildProcess & { pid: number };
  }

  test("a script in another network: what it lacks, and commands that mend it", async () => {
    const { pid } = await start("python3", "-c", holder, hosts.address("far", 4), String(port), "7700");
    const before = advise(pid);
    assert.equal(before.netns, `/proc/${pid}/ns/net`);
    assert.deepEqual(before.unseen, []);
    const outgoing = { direction: "outgoing", port, connections: 2, unprotected: 2, slow: 0, worstMs: null };
    assert.deepEqual(before.connections.services, [outgoing]);
    assert.deepEqual(before.connections.listeningPorts, [7_700]);
    assert.equal(before.finding, "Of 2 connections 2 would never notice a dead peer.");
    const [source, set] = ["source", "set"].map((wanted) => before.ways.find(({ kind }) => kind === wanted));
    const lines = paste(source?.commands[0] ?? "");
    assert.match(lines.stdout, /sock\.setsockopt\(socket\.IPPROTO_TCP, socket\.TCP_KEEPIDLE/);
    const mended = paste(set?.commands[0] ?? "");
    assert.equal(mended.status, 0, mended.stderr);
    assert.match(mended.stdout, /3 sockets: 3 changed/);
    const { finding, connections } = advise(pid);
    assert.match(finding, /^All 2 connections notice a dead peer within 35s already/);
    assert.equal(connections.unprotected + connections.slow, 0);
    const undone = paste(/deadpeer set --undo \w+/.exec(mended.stdout)?.[0] ?? "false");
    assert.equal(undone.status, 0, undone.stderr);
  });

  test("a server and its workers are one program, whichever is asked for", async () => {
    const forking = `
import os, socket, time
held = socket.create_connection(("${hosts.address("far", 6)}", ${port}))
children = [os.fork() for _ in range(1)]
if children[0]:
    print("here", flush=True)
time.sleep(1000)
`;
    const { pid } = await start("python3", "-c", forking);
    const { family, connections } = advise(pid);
    assert.equal(family.length, 2);
    assert.deepEqual(advise(family[1] ?? 0).family, family);
    assert.deepEqual([connections.total, connections.shared], [1, 1]);
    process.kill(family[1] ?? 0, "SIGKILL");
  });

  test("as another user: what can be seen, and the capability for the rest", async () => {
    const { pid } = await start("python3", "-c", holder, hosts.address("far", 4), String(port), "7701");
    const asNobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups", process.execPath, cli];
    const { status, stdout, stderr } = spawnSync("setpriv", [...asNobody, "advise", "--pid", String(pid)], {
      encoding: "utf8",
    });
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^python3 /);
    assert.match(stdout, /What it holds may not be seen\./);
    assert.match(stderr, /needs CAP_SYS_PTRACE/);
  });
});

describe("deadpeer advise refuses", { skip: process.platform !== "linux" && "needs Linux" }, () => {
  for (const [what, pid, message] of [
    ["what is no number", "x", /--pid: "x" is not a process number/],
    [
      "a process that has ended",
      String(spawnSync("true").pid),
      /there is no process \d+, or it has just ended/,
    ],
    ["a thread of the kernel's own", "2", /2 \(kthreadd\) is a thread of the kernel's own/],
  ] as const)
    test(what, (context) => {
      if (
        pid === "2" &&
        spawnSync("cat", ["/proc/2/comm"], { encoding: "utf8" }).stdout.trim() !== "kthreadd"
      )
        return context.skip("the kernel's threads are not seen here");
      const { status, stdout, stderr } = deadpeer("advise", "--pid", pid);
      assert.equal(status, 2);
      assert.equal(stdout, "");
      assert.match(stderr, message);
      assert.equal(stderr.trim().split("\n").length, 1);
    });

  test("itself", () => {
    const { status, stderr } = spawnSync(
      "sh",
      ["-c", `exec '${process.execPath}' '${cli}' advise --pid $$`],
      { encoding: "utf8" },
    );
    assert.equal(status, 2);
    assert.match(stderr, /is this deadpeer itself/);
  });

  test("a thread of a process", () => {
    const script = `
      const { readdirSync } = require("node:fs"), { spawnSync } = require("node:child_process");
      const thread = readdirSync("/proc/self/task").find((tid) => Number(tid) !== process.pid);
      const { status, stderr } = spawnSync(process.execPath, ["${cli}", "advise", "--pid", thread], { encoding: "utf8" });
      process.stdout.write(status + " " + stderr);`;
    const { stdout } = spawnSync(process.execPath, ["-e", script], { encoding: "utf8" });
    assert.match(stdout, /^2 deadpeer: \d+ is a thread of process \d+; ask for that one/);
  });

  test("settings that contradict each other", () => {
    const { status, stderr } = deadpeer(
      "advise",
      "--pid",
      String(process.pid),
      "--detect",
      "35s",
      "--idle",
      "10s",
    );
    assert.equal(status, 2);
    assert.match(stderr, /leave out --idle/);
  });
});
