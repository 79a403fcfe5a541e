import assert from "node:assert/strict";
import { spawn, spawnSync, type SpawnSyncReturns } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { listPolicies } from "../../src/host/policy/find.js";
import { shellWord } from "../../src/host/shell-word.js";
import { sweepRuns } from "../../src/host/run/sweep.js";
import { cgroupMount } from "../../src/kernel/cgroups.js";
import { cli } from "../support/checkout.js";
import { inTerminal } from "../support/terminal.js";
import { until } from "../support/until.js";

const skip = process.getuid?.() === 0 ? false : "a cgroup and BPF programs need root";

/** The options of both ends of a connection that the program makes, and of one on which it sets keepalive's idle time afterwards. */
const connecting = `
import socket as S, sys
family, address = (S.AF_INET6, "::1") if "6" in sys.argv[1:] else (S.AF_INET, "127.0.0.1")
listener = S.socket(family); listener.bind((address, 0)); listener.listen()
client = S.socket(family)
if "own" in sys.argv[1:]: client.setsockopt(1, 9, 1); client.setsockopt(6, 4, 111)
client.connect(listener.getsockname()); accepted = listener.accept()[0]
def held(s): return [s.getsockopt(1, 9), s.getsockopt(6, 4), s.getsockopt(6, 5), s.getsockopt(6, 6), s.getsockopt(6, 18)]
before = [held(client), held(accepted)]
client.setsockopt(6, 4, 77)
print([*before, held(client)])
`;
const settings = ["--idle", "60s", "--interval", "10s", "--count", "3", "--user-timeout", "90s"];
const asked = [1, 60, 10, 3, 90_000];

function run(words: readonly string[], input = ""): SpawnSyncReturns<string> {
  return spawnSync(process.execPath, [cli, "run", ...words], { encoding: "utf8", input, timeout: 60_000 });
}

function python(...words: readonly string[]): unknown {
  const at = words.indexOf("--");
  const { status, stdout, stderr } = run([
    ...words.slice(0, at),
    "--",
    "python3",
    "-c",
    connecting,
    ...words.slice(at + 1),
  ]);
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout);
}

/** The cgroups of runs, which are below our own or at the root. */
function runCgroups(directory = cgroupMount()): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name }) =>
      name.startsWith("dp-run-") ? [join(directory, name)] : runCgroups(join(directory, name)),
    );
}

/** Of the run that a process is in. */
function cgroupOf(pid: number): string {
  const path = /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, "utf8"))?.[1] ?? "";
  assert.match(path, /dp-run-/);
  return join(cgroupMount(), path);
}

describe("run gives a program's connections the settings", { skip }, () => {
  for (const family of ["4", "6"]) {
    test(`both ends, also against the program, over IPv${family}`, () => {
      assert.deepEqual(python(...settings, "--", family), [asked, asked, asked]);
      assert.deepEqual(python(...settings, "--", family, "own"), [asked, asked, asked]);
    });

    test(`--only-unset leaves alone what the program has chosen, over IPv${family}`, () => {
      const [client, accepted, later] = python(
        "--only-unset",
        ...settings,
        "--",
        family,
        "own",
      ) as number[][];
      assert.deepEqual(client?.slice(0, 2), [1, 111]);
      assert.equal(client?.at(-1), 90_000);
      assert.deepEqual(accepted, asked);
      assert.equal(later?.[1], 77);
    });
  }

  test("only those that fit --port or --remote", () => {
    const [client, accepted] = python(...settings, "--port", "1", "--") as number[][];
    assert.deepEqual([client?.[0], accepted?.[0]], [0, 0]);
    const fits = python(...settings, "--remote", "127.0.0.0/8", "--") as number[][];
    assert.deepEqual(fits.slice(0, 2), [asked, asked]);
  });
});

describe("run is as if the program had been started without", { skip }, () => {
  test("input, output, arguments, environment and exit status", () => {
    const script = 'cat; printf "%s|" "$@"; exit 7';
    const { status, stdout } = run(
      ["--idle", "60s", "--", "sh", "-c", script, "sh", "--help", "a b", "ü"],
      "in\n",
    );
    assert.equal(status, 7);
    assert.equal(stdout, "in\n--help|a b|ü|");
  });

  test("no such program: 127; one that cannot be started: 126; in one line", () => {
    const missing = run(["--idle", "60s", "--", "no-such-program-here"]);
    assert.equal(missing.status, 127);
    assert.equal(missing.stderr, "deadpeer: there is no program no-such-program-here in PATH\n");
    const nowhere = run(["--idle", "60s", "--", "/no/such/program"]);
    assert.deepEqual(
      [nowhere.status, nowhere.stderr],
      [127, "deadpeer: there is no program /no/such/program\n"],
    );
    const refused = run(["--idle", "60s", "--", "/etc/passwd"]);
    assert.equal(refused.status, 126);
    assert.match(refused.stderr, /^deadpeer: \/etc\/passwd may not be executed: [^\n]*\n$/);
    const folder = mkdtempSync(join(tmpdir(), "dp-test-"));
    try {
      const script = join(folder, "script");
      writeFileSync(script, "#!/no/such/interpreter\n", { mode: 0o755 });
      const headless = run(["--idle", "60s", "--", script]);
      assert.equal(headless.status, 127);
      assert.match(headless.stderr, /\/script: the interpreter or loader that it names is not there\n$/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("bad usage: 2, and nothing is started", () => {
    for (const words of [
      ["--", "touch", "/dev/null/x"],
      ["--idle", "60s"],
      ["--idle", "60", "--", "true"],
    ]) {
      const { status, stderr } = run(words);
      assert.equal(status, 2, stderr);
      assert.match(stderr, /^deadpeer: [^\n]*\n$/);
    }
  });

  test("it becomes the program: same process, and a signal ends it as a signal", async () => {
    const child = spawn(process.execPath, [
      cli,
      "run",
      "--idle",
      "60s",
      "--",
      "sh",
      "-c",
      "echo $$; exec cat",
    ]);
    const [text] = (await once(child.stdout, "data")) as [Buffer];
    assert.equal(Number(text.toString()), child.pid);
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    assert.deepEqual(await ended, [null, "SIGTERM"]);
  });

  test("without the privilege it starts nothing, names it, and says what to do instead", () => {
    const nobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
    const words = [...nobody, process.execPath, cli, "run", "--detect", "35s", "--", "echo", "started"];
    const { status, stdout, stderr } = spawnSync("setpriv", words, { encoding: "utf8" });
    assert.equal(status, 3);
    assert.equal(stdout, "");
    assert.match(
      stderr,
      /^deadpeer: .*root.*\ndeadpeer: without it: .*deadpeer set --watch .*--detect 35s\n$/,
    );
  });
});

const inRun = (...program: readonly string[]): [string, ...string[]] => [
  process.execPath,
  cli,
  "run",
  "--idle",
  "60s",
  "--",
  ...program,
];
/** Of the run that a program is in, as it has printed it. */
const cgroupOn = (screen: string): string =>
  join(cgroupMount(), /^0::(\S*dp-run-\S+)/m.exec(screen)?.[1] ?? "nothing");

describe("run in a terminal", { skip }, () => {
  test("the program has it, with its size", () => {
    const script = "test -t 0 && test -t 1 && test -t 2 && echo a terminal; cat; stty size; exit 5";
    const { screen, status } = inTerminal(inRun("sh", "-c", script), [["a terminal", "\u0004"]], 133);
    assert.equal(status, 5, screen);
    assert.match(screen, /a terminal\r\n(\^D[^\r]*)?24 133\r\n$/);
  });

  test("Ctrl-C is the program's: one that ends in order does, and its cgroup goes", async () => {
    const script =
      "trap 'echo caught; exit 3' INT; cat /proc/self/cgroup; echo ready; while :; do sleep 1; done";
    const { screen, status } = inTerminal(inRun("sh", "-c", script), [["ready", "\u0003"]]);
    assert.equal(status, 3, screen);
    assert.match(screen, /caught/);
    await until(() => !existsSync(cgroupOn(screen)));
  });

  test("Ctrl-C ends one that does not care, as a signal", async () => {
    const script = "cat /proc/self/cgroup; echo ready; exec sleep 60";
    const { screen, status } = inTerminal(inRun("sh", "-c", script), [["ready", "\u0003"]]);
    assert.equal(status, -2, screen);
    await until(() => !existsSync(cgroupOn(screen)));
  });

  test("a shell stops it with Ctrl-Z, and goes on with it in the background and the foreground", async () => {
    const shell = ["env", "PS1=$ ", "bash", "--norc", "--noediting", "-i"] as const;
    const command = inRun("sh", "-c", "cat /proc/self/cgroup; echo re'ad'y; exec cat")
      .map(shellWord)
      .join(" ");
    const { screen, status } = inTerminal(
      [...shell],
      [
        ["$ ", `${command}\n`],
        ["ready\r\n", "one\n"],
        ["one\r\none\r\n", "\u001a"],
        ["Stopped", "jobs; echo st'il'l there\n"],
        ["still there", "fg\n"],
        ["cat", "two\n"],
        ["two\r\ntwo\r\n", "\u0004"],
        ["$ ", "echo st'at'us $?; exit 7\n"],
      ],
    );
    assert.equal(status, 7, screen);
    assert.match(screen, /\[1\]\+ {2}Stopped/);
    assert.match(screen, /status 0/);
    await until(() => !existsSync(cgroupOn(screen)));
  });
});

async function started(
  script: string,
): Promise<{ pid: number; directory: string; readonly end: () => void }> {
  const child = spawn(
    process.execPath,
    [cli, "run", "--idle", "60s", "--", "sh", "-c", `echo ready; ${script}`],
    {
      stdio: ["pipe", "pipe", "inherit"],
    },
  );
  await once(child.stdout, "data");
  const pid = child.pid ?? 0;
  return { pid, directory: cgroupOf(pid), end: () => child.kill("SIGKILL") };
}

describe("run leaves nothing behind", { skip }, () => {
  test("the cgroup and its policy go with the last process, not with the first", async () => {
    const { directory, end, pid } = await started("sleep 300 >/dev/null & exec sleep 300");
    const inside = listPolicies().find(({ cgroup }) => directory.endsWith(cgroup));
    assert.equal(inside?.owner.command, "run");
    const other = readFileSync(join(directory, "cgroup.procs"), "utf8").split("\n").map(Number);
    const kept = other.find((one) => one !== pid && one > 0);
    assert.ok(kept !== undefined);
    end();
    await until(() => !readFileSync(join(directory, "cgroup.procs"), "utf8").includes(String(pid)));
    assert.ok(existsSync(directory));
    process.kill(kept, "SIGKILL");
    await until(() => !existsSync(directory));
    assert.equal(
      listPolicies().some(({ cgroup }) => directory.endsWith(cgroup)),
      false,
    );
  });

  test("what a killed keeper leaves is swept once nobody is inside, and not before", async () => {
    const { directory, end } = await started("exec sleep 300");
    const keeper = Number(/dp-run-(\d+)-/.exec(directory)?.[1]);
    process.kill(keeper, "SIGKILL");
    await until(() => sweepRuns().some((left) => left.directory === directory && left.inUse));
    assert.ok(existsSync(directory));
    end();
    await until(() => {
      sweepRuns();
      return !runCgroups().includes(directory);
    });
  });
});
