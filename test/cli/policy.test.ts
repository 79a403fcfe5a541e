import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, test } from "node:test";
import { policyJson } from "../../src/cli/policy/json.js";
import { listText } from "../../src/cli/policy/list.js";
import type { Policy } from "../../src/host/policy/find.js";
import { needsRoot } from "../kernel/support.js";
import { cli } from "../support/checkout.js";
import { TestCgroup } from "../support/cgroup.js";
import type { Outcome } from "../support/sandbox.js";

const nginx: Policy = {
  id: 164,
  cgroup: "/system.slice/nginx.service",
  settings: { keepalive: { idleMs: 19_000, intervalMs: 2_000, count: 7 }, userTimeoutMs: 32_350 },
  onlyUnset: false,
  ports: [],
  remotes: [],
  at: "2026-11-25T19:14:48.123Z",
  owner: { command: "add", pid: 4711, startTicks: 99, pidNamespace: 4_026_531_836, uid: 0 },
  counters: { touched: 812, leftAlone: 0, failed: 0, held: 96 },
  lastError: null,
  holdsLater: true,
  programs: { established: 201, later: 202 },
};
const app: Policy = {
  ...nginx,
  id: 171,
  cgroup: "/system.slice/app.service",
  settings: { keepalive: { idleMs: 60_000 } },
  onlyUnset: true,
  ports: [5_432],
  remotes: [{ network: "10.0.0.0/8", port: null }],
  at: "2026-11-25T19:20:02.000Z",
  counters: { touched: 14, leftAlone: 2, failed: 3, held: 0 },
  lastError: "EINVAL",
  holdsLater: false,
};

function printed(width: number, ...policies: readonly Policy[]): string {
  const terminal = { width, colour: false };
  return listText(policies, { text: terminal, table: terminal });
}

describe("policy list", () => {
  test("one line for each where the terminal is wide", () =>
    assert.equal(
      printed(150, nginx, app),
      `ID   CGROUP                       SETTINGS         FOR                                       SINCE                TOUCHED  LEFT  FAILED  HELD
164  /system.slice/nginx.service  19s/2s/7 U32.4s  all                                       2026-11-25 19:14:48      812     0       0    96
171  /system.slice/app.service    60s/-/-          port 5432, remote 10.0.0.0/8, only unset  2026-11-25 19:20:02       14     2       3     0

171: the kernel refused a setting; the last time with EINVAL
`,
    ));

  test("at 80 columns the rest stands below", () =>
    assert.equal(
      printed(80, nginx, app),
      `ID   CGROUP                       SETTINGS
164  /system.slice/nginx.service  19s/2s/7 U32.4s
     for all; since 2026-11-25 19:14:48: 812 touched, 0 left, 0 failed, 96 held
171  /system.slice/app.service    60s/-/-
     for port 5432, remote 10.0.0.0/8, only unset; since 2026-11-25 19:20:02: 14
     touched, 2 left, 3 failed, 0 held

171: the kernel refused a setting; the last time with EINVAL
`,
    ));

  test("fits every terminal", () => {
    for (let width = 60; width <= 150; width++)
      for (const line of printed(width, nginx, app).split("\n"))
        assert.ok(line.length <= width, `${line.length} columns of ${width}: ${line}`);
  });

  test("says what a row has no room for", () => {
    const torn = { ...nginx, holdsLater: false, programs: { established: 201, later: null } };
    assert.match(printed(100, torn), /\n164: what programs set later on a connection is not held against\n$/);
    const half = { ...nginx, programs: { established: null, later: 202 } };
    assert.match(printed(100, half), /\n164: its program for new connections is gone; remove it and add it/);
    const ofRun = { ...nginx, owner: { ...nginx.owner, command: "run" as const } };
    assert.match(printed(100, ofRun), /\n164: of deadpeer run; it goes with the program\n$/);
  });

  test("none is said", () => assert.equal(printed(80), "No policy.\n"));

  test("as JSON", () =>
    assert.deepEqual(policyJson(app), {
      id: 171,
      cgroup: "/system.slice/app.service",
      settings: { keepalive: { idleMs: 60_000 } },
      onlyUnset: true,
      ports: [5_432],
      remotes: [{ network: "10.0.0.0/8", port: null }],
      at: "2026-11-25T19:20:02.000Z",
      owner: { command: "add", pid: 4711, uid: 0 },
      holdsLater: false,
      counters: { touched: 14, leftAlone: 2, failed: 3, held: 0 },
      lastError: "EINVAL",
      programs: { established: 201, later: 202 },
    }));
});

function policy(...args: readonly string[]): Outcome {
  return spawnSync(process.execPath, [cli, "policy", ...args], { encoding: "utf8" });
}

describe("deadpeer policy", { skip: needsRoot }, () => {
  test("add, list, apply-existing and remove say what was done", async () => {
    await using cgroup = new TestCgroup();
    const where = ["--cgroup", cgroup.path];
    const added = policy("add", ...where, "--detect", "35s", "--port", "5432");
    assert.deepEqual([added.status, added.stderr], [0, ""]);
    const words =
      /^Policy (\d+) on (\S+): 19s\/2s\/7 U32\.4s for connections to come \(port 5432\)\.\nThose that are open already: deadpeer policy apply-existing (\d+)\nTo remove it: deadpeer policy remove (\d+)\n$/.exec(
        added.stdout,
      );
    const [, id = "", on, ...again] = words ?? [];
    assert.deepEqual([on, ...again], [cgroup.path, id, id], added.stdout);
    const twice = policy("add", ...where, "--idle", "60s");
    assert.equal(twice.status, 2);
    assert.match(twice.stderr, new RegExp(`^deadpeer: .* has policy ${id} already; .*--replace\n$`));
    const row =
      policy("list")
        .stdout.split("\n")
        .find((line) => line.startsWith(`${id} `)) ?? "";
    assert.match(row, /19s\/2s\/7 U32\.4s +port 5432 +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +0 +0 +0 +0$/);
    const applied = policy("apply-existing", id, "--dry-run");
    assert.deepEqual([applied.status, applied.stdout], [0, "No connection to change.\n"], applied.stderr);
    const replaced = policy("add", ...where, "--idle", "60s", "--replace", "--json");
    const json = JSON.parse(replaced.stdout) as { id: number; settings: unknown };
    assert.deepEqual(json.settings, { keepalive: { idleMs: 60_000 } });
    assert.deepEqual(
      (JSON.parse(policy("list", "--json").stdout) as { id: number; cgroup: string }[])
        .filter((one) => one.cgroup === cgroup.path)
        .map((one) => one.id),
      [json.id],
    );
    const removed = policy("remove", String(json.id));
    assert.deepEqual(
      [removed.status, removed.stdout],
      [0, `Removed policy ${json.id} of ${cgroup.path}.\n`],
      removed.stderr,
    );
    const gone = policy("remove", String(json.id));
    assert.equal(gone.status, 2);
    assert.match(gone.stderr, /^deadpeer: there is no policy \d+; [^\n]*\n$/);
  });

  test("refuses what cannot be meant, in one line", () => {
    for (const [args, message] of [
      [["add", "--detect", "35s"], /say whose connections are meant/],
      [["add", "--cgroup", "/deadpeer-none"], /say how soon a dead peer must be noticed/],
      [["add", "--cgroup", "/deadpeer-none", "--detect", "35s"], /no cgroup/],
      [["add", "--cgroup", "/x", "--service", "y", "--detect", "35s"], /give one of them/],
      [["add", "--cgroup", "/x", "--detect", "35s", "--port", "0"], /--port/],
      [["apply-existing"], /say which policy: by its id, as deadpeer policy list shows it, or by --service/],
      [["apply-existing", "17", "--service", "nginx"], /not both/],
      [["apply-existing", "x"], /"x" is not a policy's id/],
      [["remove"], /say which policies to remove/],
      [["remove", "17", "--all"], /in one way/],
    ] as const) {
      const { status, stdout, stderr } = policy(...args);
      assert.deepEqual([status, stdout], [2, ""], `${args.join(" ")}: ${stderr}`);
      assert.match(stderr, message);
      assert.equal(stderr.trimEnd().split("\n").length, 1);
    }
  });

  test("list --help explains the columns", () => {
    const { stdout } = policy("list", "--help");
    for (const title of ["SETTINGS", "TOUCHED", "LEFT", "FAILED", "HELD"])
      assert.match(stdout, new RegExp(`^${title} +\\S`, "m"));
  });

  test("without the privilege names it, and what to do instead", () => {
    const nobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups", process.execPath, cli];
    const { status, stderr } = spawnSync(
      "setpriv",
      [...nobody, "policy", "add", "--cgroup", "/x", "--detect", "35s", "--port", "443"],
      { encoding: "utf8" },
    );
    assert.equal(status, 3);
    assert.match(
      stderr,
      /^deadpeer: .*CAP_SYS_ADMIN.*\ndeadpeer: without it, .*: deadpeer set --watch --cgroup \/x --detect 35s --port 443\n$/,
    );
  });
});
