import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { ScenarioResult } from "../../src/lab/run/result.js";
import { labNamespaces, needsLab } from "../lab/support.js";
import { cli } from "../support/checkout.js";
import type { Outcome } from "../support/sandbox.js";

const lab = (...args: readonly string[]): readonly string[] => [cli, "lab", ...args];

function deadpeer(args: readonly string[], env: NodeJS.ProcessEnv = {}): Outcome {
  return spawnSync(process.execPath, args, {
    encoding: "utf8",
    env: { ...process.env, ...env },
    maxBuffer: 1 << 28,
  });
}

interface Running {
  readonly process: ChildProcess;
  readonly pid: number;
  readonly said: () => string;
}

function start(args: readonly string[], env: NodeJS.ProcessEnv = {}): Running {
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
  return { process: child, pid: child.pid as number, said: () => said };
}

/** Looks again and again until it is so. */
async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!holds()) {
    assert.ok(Date.now() < deadline, `never came true: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** The processes inside namespaces of a lab's owner. */
function processesOf(pid: number): string[] {
  const result = labNamespaces(pid).flatMap((name) =>
    spawnSync("ip", ["netns", "pids", name], { encoding: "utf8" }).stdout.split("\n"),
  );
  return result.filter((line) => line !== "");
}

async function endsWithItsHosts(running: Running, signal: NodeJS.Signals): Promise<void> {
  running.process.kill(signal);
  const [, ended] = (await once(running.process, "exit")) as [number | null, NodeJS.Signals | null];
  assert.equal(ended, signal, running.said());
  assert.deepEqual(labNamespaces(running.pid), []);
  assert.match(running.said(), /deadpeer: the lab was interrupted; its hosts are gone\n/);
}

describe("deadpeer lab, without a lab", () => {
  test("list names every scenario, as JSON too", () => {
    const { status, stdout } = deadpeer(lab("list", "--json"));
    assert.equal(status, 0);
    const entries = JSON.parse(stdout) as { name: string; title: string; families: number[] }[];
    assert.ok(entries.length >= 20);
    const text = deadpeer(lab("list"));
    assert.equal(text.status, 0);
    for (const { name } of entries) assert.ok(text.stdout.includes(name));
  });

  const refused: readonly [args: readonly string[], said: RegExp][] = [
    [["run"], /name scenarios .* or give --all/],
    [["run", "cut-of"], /no scenario "cut-of"; did you mean "cut-off"\?/],
    [["run", "./not-there.json"], /not-there\.json cannot be read \(ENOENT\)/],
    [["run", "--all", "alive"], /give names or --all/],
    [["run", "alive", "--ipv4", "--ipv6"], /leave nothing to run/],
    [["run", "alive", "--pcap", "/dev/null/x"], /--pcap: \/dev\/null\/x cannot be made \(ENOTDIR\)/],
    [["run", "alive", "--pcpa", "x"], /unknown option '--pcpa'/],
    [["shell"], /missing required argument/],
    [["shell", "alive", "--host", "sever"], /did you mean "server"\?/],
  ];
  for (const [args, said] of refused)
    test(`lab ${args.join(" ")} is refused in one line`, () => {
      const { status, stdout, stderr } = deadpeer(lab(...args));
      assert.equal(status, 2, stderr);
      assert.equal(stdout, "");
      assert.match(stderr, said);
      assert.equal(stderr.trim().split("\n").length, 1, stderr);
    });
});

describe("deadpeer lab", { skip: needsLab, timeout: 300_000 }, () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "deadpeer-lab-test-"));
  });
  after(() => rmSync(folder, { recursive: true }));

  /** For scenarios that do not get that far. */
  const unexpected = { program: { program: "server", event: "exit" } };
  const own = (name: string, change: Record<string, unknown> = {}): string => {
    const file = join(folder, `${name}.json`);
    const scenario = {
      name,
      title: "A scenario of one's own",
      outcome: "An orderly end",
      hosts: { client: {}, server: {} },
      programs: {
        server: { host: "server", listen: { port: 7000, as: "quiet" } },
        client: { host: "client", connect: { main: { to: "server", port: 7000 } } },
      },
      steps: [{ at: "200ms", end: { program: "server" } }],
      lasts: "600ms",
      expect: [{ verdict: { program: "client", state: "closed" } }],
      ...change,
    };
    writeFileSync(file, JSON.stringify(scenario, null, 2));
    return file;
  };

  test("a scenario of one's own: 0 if it passes, 1 if not, 2 if it cannot be read", () => {
    const good = deadpeer(lab("run", own("good"), "--ipv4"));
    assert.equal(good.status, 0, good.stderr);
    assert.match(good.stdout, /passed {2}good, IPv4/);
    const failing = own("failing", { expect: [{ verdict: { program: "client", state: "silent" } }] });
    const bad = deadpeer(lab("run", failing, "--ipv4", "--json"));
    assert.equal(bad.status, 1);
    const [result] = JSON.parse(bad.stdout) as ScenarioResult[];
    assert.equal(result?.passed, false);
    assert.equal(result?.verdict?.state, "closed");
    assert.match(result?.expected[0]?.observed ?? "", /none that fits: closed/);
    const wrong = deadpeer(
      lab("run", own("wrong", { steps: [{ at: "100ms", kill: { program: "sever" } }] })),
    );
    assert.equal(wrong.status, 2);
    assert.match(
      wrong.stderr,
      /wrong\.json: \$\.steps\[0\]\.kill\.program: no program is called "sever"; did you mean "server"\?/,
    );
  });

  test("any command takes the place of the lab's own programs", () => {
    const script =
      "import socket; s = socket.create_server(('', 7000), family=socket.AF_INET6, dualstack_ipv6=True); c = s.accept()[0]; c.recv(1); print('closed', flush=True)";
    const commands = own("commands", {
      programs: {
        server: { host: "server", command: ["python3", "-c", script], listens: 7000 },
        client: { host: "client", connect: { main: { to: "server", port: 7000 } } },
      },
      steps: [{ at: "100ms", end: { program: "client" } }],
      expect: [
        { program: { program: "server", event: "output", text: "closed" } },
        { program: { program: "server", event: "exit" } },
      ],
    });
    const { status, stdout } = deadpeer(lab("run", commands));
    assert.equal(status, 0, stdout);
    const missing = own("missing", {
      programs: { server: { host: "server", command: ["no-such-program"], listens: 7000 } },
      steps: [],
      expect: [{ program: { program: "server", event: "exit" } }],
    });
    const failed = deadpeer(lab("run", missing, "--ipv4"));
    assert.equal(failed.status, 1);
    assert.match(failed.stdout, /the program server was not ready: spawn no-such-program ENOENT/);
    const ending = own("ending", {
      programs: { server: { host: "server", command: ["sh", "-c", "echo oops; exit 3"], listens: 7000 } },
      steps: [],
      expect: [{ program: { program: "server", event: "exit" } }],
    });
    const ended = deadpeer(lab("run", ending, "--ipv4", "--json"));
    assert.equal(ended.status, 1);
    const [result] = JSON.parse(ended.stdout) as ScenarioResult[];
    assert.equal(
      result?.problem,
      "the program server was not ready: it ended with status 3; its last words: oops",
    );
  });

  test("killed in the middle and started again: nothing is left of either", async () => {
    const first = start(lab("run", "alive", "cut-off"));
    await until("hosts stand with programs inside", () => processesOf(first.pid).length >= 4);
    first.process.kill("SIGKILL");
    await once(first.process, "exit");
    const left = labNamespaces(first.pid);
    assert.ok(left.length > 0, "without the next start they would stay");
    const folders = (): string[] =>
      readdirSync(tmpdir()).filter((name) => name.startsWith(`dp-lab-${first.pid}-`));
    const second = deadpeer(lab("run", own("after"), "--ipv4"));
    assert.equal(second.status, 0, second.stderr);
    assert.deepEqual(labNamespaces(first.pid), []);
    assert.deepEqual(folders(), []);
  });

  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    test(`${signal} ends it by the signal, and its hosts with it`, async () => {
      const running = start(lab("run", "alive", "cut-off"));
      await until("hosts stand with programs inside", () => processesOf(running.pid).length >= 4);
      await endsWithItsHosts(running, signal);
    });

  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    test(`${signal} while the hosts of a shell are made ends them`, async () => {
      const programs = { server: { host: "server", command: ["sleep", "1000"], listens: 7000 } };
      const running = start(lab("shell", own("never-ready", { programs, steps: [], expect: [unexpected] })));
      await until("the program runs", () => processesOf(running.pid).length > 0);
      await endsWithItsHosts(running, signal);
    });

  for (const signal of ["SIGTERM", "SIGHUP"] as const)
    test(`${signal} ends a shell, whatever it thinks of that, and all that runs inside`, async () => {
      const shell = join(folder, `stubborn-${signal}`);
      const script = "#!/bin/sh\ntrap '' HUP TERM\nsetsid sleep 1000 &\necho background $!\nsleep 1000\n";
      writeFileSync(shell, script, { mode: 0o755 });
      const running = start(lab("shell", "alive"), { SHELL: shell });
      await until("the shell runs", () => /background \d+/.test(running.said()));
      const background = Number(/background (\d+)/.exec(running.said())?.[1]);
      await endsWithItsHosts(running, signal);
      await until("the background is gone", () => !existsSync(`/proc/${background}`));
    });

  test("a shell that cannot be started is named, and the hosts go", async () => {
    const running = start(lab("shell", "alive"), { SHELL: "/no/such/shell" });
    const [status] = (await once(running.process, "close")) as [number | null];
    assert.equal(status, 3, running.said());
    assert.match(running.said(), /the shell \/no\/such\/shell cannot be started \(ENOENT\)/);
    assert.deepEqual(labNamespaces(running.pid), []);
  });

  test("two labs side by side do not disturb each other", async () => {
    const both = [start(lab("run", "cut-off")), start(lab("run", "cut-off"))];
    const statuses = await Promise.all(
      both.map(async ({ process }) => once(process, "exit") as Promise<[number | null]>),
    );
    for (const [index, [status]] of statuses.entries()) assert.equal(status, 0, both[index]?.said());
    for (const { pid } of both) assert.deepEqual(labNamespaces(pid), []);
  });

  test("--keep leaves the hosts until Ctrl-C", async () => {
    const running = start(lab("run", own("kept"), "--ipv4", "--keep"));
    await until("it says how to enter", () => running.said().includes("the hosts stay until Ctrl-C"));
    const names = labNamespaces(running.pid);
    assert.equal(names.length, 3);
    for (const name of names) assert.ok(running.said().includes(`ip netns exec ${name} sh`));
    running.process.kill("SIGINT");
    await once(running.process, "exit");
    assert.deepEqual(labNamespaces(running.pid), []);
    assert.match(running.said(), /1 of 1 runs passed/);
  });

  test("shell opens one on a host whose connections stand, and takes its status", () => {
    const shell = join(folder, "shell");
    writeFileSync(shell, "#!/bin/sh\nip -br address show dev wire\nss -tnH state established\nexit 7\n", {
      mode: 0o755,
    });
    const { status, stdout, stderr } = deadpeer(lab("shell", "alive", "--host", "server"), { SHELL: shell });
    assert.equal(status, 7, stderr);
    assert.match(stdout, /10\.77\.2\.2\/24/);
    assert.match(stdout, /10\.77\.2\.2\]?:7000/);
    assert.match(stderr, /server, 10\.77\.2\.2: you are here/);
  });

  test("a tool that is missing is named, with status 3", () => {
    for (const missing of ["ip", "nft", "tcpdump"]) {
      const path = join(folder, `without-${missing}`);
      mkdirSync(path);
      for (const tool of ["ip", "nft", "tcpdump"].filter((one) => one !== missing)) {
        const { stdout } = spawnSync("sh", ["-c", `command -v ${tool}`], { encoding: "utf8" });
        symlinkSync(stdout.trim(), join(path, tool));
      }
      const { status, stderr } = deadpeer(lab("run", "alive"), { PATH: path });
      assert.equal(status, 3, stderr);
      assert.match(stderr, new RegExp(`the lab needs ${missing}, .*install`));
    }
  });

  test("without root it says so, with status 3", () => {
    const { status, stderr } = spawnSync(process.execPath, lab("run", "alive"), {
      encoding: "utf8",
      uid: 65_534,
      gid: 65_534,
    });
    assert.equal(status, 3, stderr);
    assert.match(stderr, /run as root/);
  });
});
