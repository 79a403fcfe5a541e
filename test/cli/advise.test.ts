import assert from "node:assert/strict";
import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { join, relative } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { ProgramFacts } from "../../src/host/advise/facts.js";
import type { Way } from "../../src/host/advise/way.js";
import { isPopulated, processesIn, removeCgroup } from "../../src/kernel/cgroup-changes.js";
import { cgroupMount } from "../../src/kernel/cgroups.js";
import { newOwnedName } from "../../src/kernel/owned-names.js";
import { processCgroup } from "../../src/kernel/processes.js";
import { without } from "../plan/snippets/programs.js";
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

/** What leads back from what was pasted. The machine's journal keeps it until somebody does. */
const undos: string[] = [];

/** Runs a command as it was printed, in a shell that knows this checkout's deadpeer. */
function paste(command: string): Outcome {
  const text = `deadpeer() { '${process.execPath}' '${cli}' "$@"; }\n${command}`;
  const outcome = spawnSync("sh", ["-c", text], { encoding: "utf8", cwd: checkout });
  undos.push(...(outcome.stdout.match(/deadpeer set --undo \w+/g) ?? []));
  return outcome;
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await sleep(20);
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
    for (const undo of undos) paste(undo);
    for (const socket of accepted) socket.destroy();
    server.close();
    hosts[Symbol.dispose]();
  });

  async function start(
    ...command: readonly string[]
  ): Promise<ChildProcessWithoutNullStreams & { pid: number }> {
    const child = spawn("ip", ["netns", "exec", hosts.name("near"), ...command], {
      stdio: ["pipe", "pipe", "pipe"],
    });
    child.stderr.pipe(process.stderr);
    started.push(child);
    const ended = once(child, "exit").then(() => {
      throw new Error(`${command.join(" ")} has ended`);
    });
    ended.catch(() => {});
    await Promise.race([once(child.stdout, "data"), ended]);
    return child as typeof child & { pid: number };
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
    const undone = paste(undos.shift() ?? "false");
    assert.equal(undone.status, 0, undone.stderr);
    assert.equal(advise(pid).connections.unprotected, 2);
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

  test("a server that is a service: configuration, policy, set, each pasted", {
    skip: without("redis-server"),
  }, async () => {
    // Named as a run's, so that a sweep removes it should this test be killed.
    const outer = join(cgroupMount(), newOwnedName("run"));
    const service = `deadpeer-test-${process.pid}.service`;
    const cgroup = join(outer, service);
    mkdirSync(cgroup, { recursive: true });
    try {
      const options = "--save '' --protected-mode no";
      const server = await start("sh", "-c", `echo here; read go; exec redis-server --port 7610 ${options}`);
      const { pid } = server;
      writeFileSync(join(cgroup, "cgroup.procs"), String(pid));
      const ready = once(server.stdout, "data");
      server.stdin.write("go\n");
      await ready;
      const client = async (): Promise<ChildProcess> => {
        const nc = spawn("ip", ["netns", "exec", hosts.name("far"), "nc", hosts.address("near", 4), "7610"], {
          stdio: ["pipe", "pipe", "inherit"],
        });
        started.push(nc);
        // Until its socket is redis's.
        for (;;) {
          nc.stdin.write("PING\r\n");
          if (String((await once(nc.stdout, "data"))[0]).includes("PONG")) return nc;
        }
      };
      await client();
      const { ways, cgroup: seen, connections, finding } = advise(pid);
      assert.deepEqual(seen, {
        path: join("/", relative(cgroupMount(), cgroup)),
        isRoot: false,
        others: 0,
        policy: null,
      });
      // Redis' own 300 s, and nothing for data in flight.
      assert.equal(connections.slow, 1);
      assert.equal(finding, "Of 1 connection 1 would need longer than 35s.");
      assert.deepEqual(
        ways.map(({ kind }) => kind),
        ["configuration", "policy", "set"],
      );
      const [configuration, policy, set] = ways.map(({ commands }) => commands);
      assert.match(paste(configuration?.[0] ?? "").stdout, /^tcp-keepalive \d+$/m);
      assert.equal(policy?.[0], `deadpeer policy add --service ${service} --detect 35s`);
      for (const command of policy ?? []) {
        const { status, stderr } = paste(command);
        assert.equal(status, 0, stderr);
      }
      assert.equal(advise(pid).connections.slow, 0, "apply-existing has set the one that was open");
      await client();
      assert.deepEqual([advise(pid).connections.total, advise(pid).connections.slow], [2, 0]);
      const added = advise(pid);
      assert.notEqual(added.cgroup?.policy, null);
      const again = added.ways.find(({ kind }) => kind === "policy")?.commands[0] ?? "";
      assert.equal(again, `deadpeer policy apply-existing --service ${service}`);
      assert.equal(paste(again).status, 0);
      const mended = paste(set?.[0] ?? "");
      assert.equal(mended.status, 0, mended.stderr);
      assert.equal(paste(`deadpeer policy remove --service ${service}`).status, 0);
    } finally {
      for (const pid of processesIn(cgroup) ?? []) process.kill(pid, "SIGKILL");
      await until(() => isPopulated(outer) !== true);
      removeCgroup(outer);
    }
  });

  test("a program that somebody started: its words start it once more, with a policy", async () => {
    const words = [
      "-c",
      "import sys, time; print(sys.argv[1:], flush=True); time.sleep(1000)",
      "two words",
      "it's",
    ];
    const child = spawn("python3", words, { stdio: ["ignore", "pipe", "inherit"], cwd: "/tmp" });
    started.push(child);
    const [said] = (await once(child.stdout, "data")) as [Buffer];
    const command = advise(child.pid ?? 0).ways.find(({ kind }) => kind === "run")?.commands[0] ?? "";
    assert.match(command, /^cd \/tmp && deadpeer run --detect 35s -- /);
    const again = spawn(
      "sh",
      ["-c", `deadpeer() { exec '${process.execPath}' '${cli}' "$@"; }\n${command}`],
      {
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    started.push(again);
    const [saidAgain] = (await once(again.stdout, "data")) as [Buffer];
    assert.equal(saidAgain.toString().trim(), said.toString().trim());
    const cgroup = join(cgroupMount(), processCgroup(again.pid ?? 0) ?? "");
    assert.notEqual(advise(again.pid ?? 0).cgroup?.policy, null);
    again.kill("SIGKILL");
    // Its keeper removes it.
    await until(() => !existsSync(cgroup));
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
