import assert from "node:assert/strict";
import { type ChildProcess, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { cgroupsBelow, isPopulated, removeCgroup } from "../../src/kernel/cgroup-changes.js";
import { cgroupMount } from "../../src/kernel/cgroups.js";
import { newOwnedName } from "../../src/kernel/owned-names.js";
import { cli } from "../support/checkout.js";
import { needsNamespaces } from "../support/namespaces.js";
import { Sandbox } from "../support/sandbox.js";

interface Trace {
  readonly what: string;
  readonly name: string;
  readonly why: string;
  readonly undo?: string | null;
}

interface Answer {
  readonly dryRun: boolean;
  readonly removed: readonly Trace[];
  readonly kept: readonly Trace[];
  readonly failed: readonly unknown[];
  readonly unseen: readonly unknown[];
}

/** Waits for something to have happened; the time is the limit only. */
async function until(what: string, isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error(`${what}: still not so`);
    await sleep(20);
  }
}

// In a PID namespace of its own: a deadpeer of another test, which sweeps when it starts, cannot know that these owners have ended.
describe("deadpeer cleanup, after kill -9", {
  skip: needsNamespaces || Sandbox.missing(),
  timeout: 120_000,
}, () => {
  let sandbox: Sandbox;
  let folder: string;
  before(async () => {
    sandbox = await Sandbox.open();
    folder = mkdtempSync(join(tmpdir(), "deadpeer-cleanup-"));
    sandbox.must("mkdir -p /run/netns");
  });
  after(async () => {
    await sandbox[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  function cleanup(...options: readonly string[]): Answer {
    const { status, stdout, stderr } = sandbox.deadpeer("cleanup", "--json", ...options);
    assert.equal(status, 0, stderr);
    const answer = JSON.parse(stdout) as Answer;
    assert.deepEqual([answer.failed, answer.unseen], [[], []]);
    // Trace instances, cgroups and policies are the whole machine's: those of others are seen as well.
    return { ...answer, kept: answer.kept.filter(({ what, undo }) => undo !== null && what !== "policy") };
  }

  /** Starts `deadpeer` inside, with TMPDIR for itself. */
  function start(...args: readonly string[]): { readonly child: ChildProcess; readonly kill: () => void } {
    const file = join(folder, "pid");
    rmSync(file, { force: true });
    const script = `echo $$ >'${file}'; TMPDIR='${folder}' exec "$@"`;
    const child = sandbox.start("sh", "-c", script, "sh", process.execPath, cli, ...args);
    child.stdout?.resume();
    // It may have come to its end meanwhile.
    return { child, kill: () => sandbox.must(`kill -9 $(cat '${file}') || true`) };
  }

  /** What a dry run finds, what is then removed, and that nothing is left of it. */
  function removeAll(wanted: Readonly<Record<string, number>>): Answer {
    const found = cleanup("--dry-run");
    assert.deepEqual(counted(found.removed), wanted);
    assert.deepEqual(cleanup("--dry-run").removed, found.removed, "a dry run changes nothing");
    assert.deepEqual(cleanup().removed, found.removed);
    const after = cleanup("--dry-run");
    assert.deepEqual(after.removed, []);
    return after;
  }

  const namespaces = (): string[] => sandbox.must("ls /run/netns").split("\n").filter(Boolean);

  test("nothing at all is said as such", () => {
    const { status, stdout, stderr } = sandbox.deadpeer("cleanup", "--dry-run");
    assert.deepEqual([status, stderr], [0, ""]);
    assert.match(stdout, /^Nothing is left over\.\n/);
  });

  test("a lab: its hosts, what runs inside, its folder", async () => {
    const { kill } = start("lab", "run", "cut-off", "--ipv4");
    const captures = (): string[] => readdirSync(folder).filter((name) => name.startsWith("dp-lab-"));
    await until("hosts and captures", () => namespaces().length >= 3 && captures().length > 0);
    const living = cleanup("--dry-run");
    assert.deepEqual(counted(living.removed), {});
    assert.match(living.kept.find(({ what }) => what === "lab")?.undo ?? "", /^kill \d+$/);
    kill();
    const hosts = namespaces();
    const left = sandbox.run(
      "env",
      `TMPDIR=${folder}`,
      process.execPath,
      cli,
      "cleanup",
      "--json",
      "--dry-run",
    );
    assert.deepEqual(counted((JSON.parse(left.stdout) as Answer).removed), {
      "lab's folder": 1,
      "network namespace": hosts.length,
    });
    const { stdout } = sandbox.run("env", `TMPDIR=${folder}`, process.execPath, cli, "cleanup");
    assert.match(stdout, /^Removed\n/);
    assert.deepEqual([namespaces(), captures()], [[], []]);
    assert.deepEqual(cleanup("--dry-run").removed, []);
  });

  test("watch: its trace instance", async () => {
    const { child, kill } = start("watch", "--json");
    await until("an instance", () => cleanup("--dry-run").kept.some(({ what }) => what === "watch"));
    const ended = once(child, "exit");
    kill();
    await ended;
    removeAll({ "trace instance": 1 });
  });

  test("explain: what it had put aside", async () => {
    const { child, kill } = start("explain", "-", "--html", "-");
    child.stdin?.write(Buffer.from("d4c3b2a1020004000000000000000000ffff000001000000", "hex"));
    const aside = (): string[] => readdirSync(folder).filter((name) => name.startsWith("dp-explain-"));
    await until("a copy", () => aside().length > 0);
    kill();
    const { stdout } = sandbox.run("env", `TMPDIR=${folder}`, process.execPath, cli, "cleanup", "--json");
    assert.deepEqual(counted((JSON.parse(stdout) as Answer).removed), { "temporary file": 1 });
    assert.deepEqual(aside(), []);
  });

  test("set: its journal stays while there is something to undo, and no longer", async () => {
    const program = sandbox.start("python3", "-c", manySockets);
    await until("sockets", () => sandbox.run("ss", "-tnH").stdout.split("\n").length > 2 * sockets);
    const { kill } = start("set", "--port", "7900", "--detect", "35s");
    // One that nothing was written to yet has nothing to undo.
    const written = "find /run/deadpeer/set -name '*.jsonl' -size +0 | grep -q .";
    await until("a journal", () => sandbox.run("sh", "-c", written).status === 0);
    kill();
    sandbox.must(
      "touch /run/deadpeer/set/abcd.jsonl /run/deadpeer/set/abcd.jsonl.99999.tmp /run/deadpeer/sysctl.json.99999.tmp",
    );
    const { removed } = cleanup("--dry-run");
    const unwritten = removed.find(({ what }) => what === "journal of set");
    assert.match(unwritten?.why ?? "", /^nothing was written to it/);
    const { kept } = removeAll({ "journal of set": 1, "temporary file": 2 });
    const undo = kept.find(({ what }) => what === "run of set")?.undo ?? "";
    assert.match(undo, /^deadpeer set --undo \w+$/);
    assert.equal(sandbox.deadpeer(...undo.split(" ").slice(1)).status, 0);
    assert.deepEqual(cleanup("--dry-run").kept, []);
    assert.equal(sandbox.deadpeer("set", "--port", "7900", "--detect", "30s").status, 0);
    program.stdin?.end();
    await until("no sockets", () => sandbox.run("ss", "-tnH", "state", "established").stdout === "");
    assert.deepEqual(removeAll({ "journal of set": 1 }).kept, []);
  });

  test("run: its cgroup stays while its program runs, whoever was to remove it", async () => {
    const { child } = start("run", "--detect", "35s", "--", "sleep", "1000");
    const own = `-${sandbox.must("stat -L -c %i /proc/self/ns/pid")}-`;
    const cgroups = (): string[] => [...cgroupsBelow(cgroupMount())].filter((path) => path.includes(own));
    const program = (): boolean =>
      sandbox.run("grep", "-qx", "sleep", `/proc/${sandbox.must(`cat '${folder}/pid'`)}/comm`).status === 0;
    await until("a program", () => existsSync(join(folder, "pid")) && program());
    const [cgroup = ""] = cgroups();
    const [, keeper = ""] = /dp-run-(\d+)/.exec(cgroup) ?? [];
    sandbox.must(`kill -9 ${keeper}`);
    const { kept } = removeAll({});
    const undo = kept.find(({ what }) => what === "cgroup of a run")?.undo ?? "";
    assert.match(undo, /^kill \d+$/);
    const ended = once(child, "exit");
    sandbox.must(undo);
    await ended;
    await until("an empty cgroup", () => isPopulated(cgroup) === false);
    removeAll({ cgroup: 1 });
    assert.deepEqual(cgroups(), []);
  });

  test("policy: whoever added it, it stays until it is removed; --all would", () => {
    const directory = join(cgroupMount(), newOwnedName("run"));
    mkdirSync(directory);
    const name = "app.slice";
    mkdirSync(join(directory, name));
    try {
      const cgroup = `/${basename(directory)}/${name}`;
      const added = sandbox.deadpeer("policy", "add", "--cgroup", cgroup, "--detect", "35s");
      assert.equal(added.status, 0, added.stderr);
      const own = (which: "kept" | "removed", ...options: readonly string[]): Trace | undefined =>
        (JSON.parse(sandbox.deadpeer("cleanup", "--json", ...options).stdout) as Answer)[which].find(
          ({ what, name: policy }) => what === "policy" && policy.endsWith(` on ${cgroup}`),
        );
      const undo = own("kept")?.undo ?? "";
      assert.match(undo, /^deadpeer policy remove \d+$/);
      // In earnest it would take those of whoever else uses this machine.
      assert.notEqual(own("removed", "--dry-run", "--all"), undefined);
      assert.equal(sandbox.deadpeer(...undo.split(" ").slice(1)).status, 0);
      assert.equal(own("kept", "--dry-run"), undefined);
    } finally {
      removeCgroup(directory);
    }
  });

  test("sysctl: values of a network that is gone; what was asked for stays", () => {
    sandbox.must("ip netns add blue");
    const given = ["--idle", "60s", "--interval", "10s", "--count", "3"];
    for (const where of [["--netns", "blue"], []])
      assert.equal(sandbox.deadpeer("sysctl", "set", ...given, ...where).status, 0);
    assert.equal(sandbox.deadpeer("sysctl", "persist", ...given).status, 0);
    assert.deepEqual(counted(cleanup("--dry-run").removed), {});
    sandbox.must("ip netns delete blue");
    const { kept } = removeAll({ "journal of sysctl": 3 });
    assert.deepEqual(
      kept.map(({ undo }) => undo),
      ["deadpeer sysctl set --undo", "deadpeer sysctl unpersist"],
    );
    for (const { undo } of kept)
      assert.equal(sandbox.deadpeer(...(undo ?? "").split(" ").slice(1)).status, 0);
    assert.deepEqual(cleanup("--dry-run").kept, []);
  });

  test("a journal that is none of deadpeer's is left alone, and said", () => {
    sandbox.must("echo mine >/run/deadpeer/sysctl.json");
    const { status, stdout, stderr } = sandbox.deadpeer("cleanup");
    assert.equal(status, 0);
    assert.match(stdout, /^Nothing is left over of what could be looked for\./);
    assert.match(stderr, /sysctls could not be looked for: .* is not a journal of deadpeer's/);
    sandbox.must("rm /run/deadpeer/sysctl.json");
  });
});

describe("deadpeer cleanup without root", { skip: needsNamespaces }, () => {
  test("says what could not be looked for", () => {
    const asNobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups", process.execPath, cli];
    const { status, stderr } = spawnSync("setpriv", [...asNobody, "cleanup", "--dry-run"], {
      encoding: "utf8",
    });
    assert.equal(status, 0, stderr);
    assert.match(stderr, /^deadpeer: watches could not be looked for: .*root/m);
    assert.match(stderr, /^deadpeer: policies could not be looked for: .*CAP_NET_ADMIN/m);
    assert.ok(existsSync(cli));
  });
});

function counted(traces: readonly Trace[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { what } of traces) counts[what] = (counts[what] ?? 0) + 1;
  return counts;
}

const sockets = 400;
const manySockets = `
import socket, sys
listener = socket.create_server(("127.0.0.1", 7900), backlog=4096)
held = []
for _ in range(${sockets}):
    held.append(socket.create_connection(("127.0.0.1", 7900)))
    held.append(listener.accept()[0])
sys.stdin.read()
`;
