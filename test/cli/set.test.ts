import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, test } from "node:test";
import { type Options, PythonSockets, times } from "../host/repair/python-sockets.js";
import { cli, ReadableCommand } from "../support/checkout.js";
import { requireNoPolicyAround } from "../support/cgroup.js";
import { type Outcome, Sandbox } from "../support/sandbox.js";

const detect = ["--detect", "35s"];
const asPlanned: Options = [1, 19, 2, 7, 32_350];
const untouched: Options = [0, 7_200, 75, 9, 0];

const pairs = "l4, c4, a4 = pair(); l6, c6, a6 = pair(S.AF_INET6, '::1'); kept = [c4, a4, c6, a6]";
const many = String.raw`
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, [resource.getrlimit(resource.RLIMIT_NOFILE)[1]] * 2)
l = S.socket(); l.bind(("127.0.0.1", 0)); l.listen(4096)
for _ in range(2000):
    c = S.socket(); c.connect(l.getsockname()); kept += [c, l.accept()[0]]
`;

interface Printed {
  readonly run: string | null;
  readonly applied: boolean;
  readonly connections: readonly {
    readonly outcome: string;
    readonly before: unknown;
    readonly after: unknown;
  }[];
}

describe("deadpeer set", { skip: Sandbox.missing(), timeout: 300_000 }, () => {
  let sandbox: Sandbox;
  let python: PythonSockets | undefined;
  beforeEach(async () => {
    requireNoPolicyAround();
    sandbox = await Sandbox.open();
  });
  afterEach(async () => {
    await python?.[Symbol.asyncDispose]();
    python = undefined;
    await sandbox[Symbol.asyncDispose]();
    requireNoPolicyAround();
  });

  const inside = (): [string, ...string[]] => [
    "nsenter",
    "--target",
    String(sandbox.pid),
    "--mount",
    "--net",
    "--pid",
  ];

  /** Holds sockets inside the sandbox; gives the number that the program has in there. */
  async function hold(making: string, ...wrapper: string[]): Promise<string> {
    python = await PythonSockets.hold(making, [...inside(), ...wrapper]);
    return String(await python.ask("os.getpid()"));
  }

  const options = async (): Promise<Options[]> => (await python?.options()) ?? [];
  const set = (...args: string[]): Outcome => sandbox.deadpeer("set", ...args);

  test("prints before and after, and how to go back; --undo says what it undid", async () => {
    const pid = await hold(pairs);
    const { status, stdout, stderr } = set("--pid", pid, ...detect);
    assert.equal(status, 0, stderr);
    assert.equal(stderr, "");
    const lines = stdout.trimEnd().split("\n");
    assert.match(lines[0] ?? "", /^PROCESS +CONNECTION +SETTINGS +IDLE +SENDING$/);
    for (const row of lines.slice(1, 5))
      assert.match(row, /^python3 \d+ +\S+ (→|←) \S+ +off → 19s\/2s\/7 U32\.4s +never → 33s +15m25s → 32s$/);
    assert.equal(lines[6], "4 connections: 4 changed.");
    const undo = /^To put back what was there: deadpeer set --undo ([0-9a-f]{4})$/.exec(lines[7] ?? "");
    assert.ok(undo, stdout);
    assert.deepEqual(await options(), times(4, asPlanned));

    const undone = set("--undo");
    assert.equal(undone.status, 0, undone.stderr);
    const words = undone.stdout.replaceAll(/\s+/g, " ");
    assert.match(
      words,
      new RegExp(`Undone: ${undo[1]} \\(set --pid ${pid} --detect 35s, at .*4 as before again\\.`),
    );
    assert.deepEqual(await options(), times(4, untouched));
    assert.equal(set("--undo").stdout, "There is no run to undo.\n");
  });

  test("--json prints one value; --dry-run changes nothing", async () => {
    const pid = await hold(pairs);
    const dry = set("--pid", pid, ...detect, "--dry-run", "--json");
    assert.equal(dry.status, 0, dry.stderr);
    const planned = JSON.parse(dry.stdout) as Printed;
    assert.deepEqual([planned.applied, planned.run], [false, null]);
    assert.deepEqual(await options(), times(4, untouched));
    const done = JSON.parse(set("--pid", pid, ...detect, "--json").stdout) as Printed;
    assert.equal(done.applied, true);
    assert.deepEqual(
      done.connections.map(({ outcome, after }) => ({ outcome, after })),
      planned.connections.map(({ outcome, after }) => ({ outcome, after })),
    );
    const undone = JSON.parse(set("--undo", done.run ?? "", "--json").stdout) as {
      run: string;
      left: number;
      connections: object[];
    };
    assert.deepEqual([undone.run, undone.left], [done.run, 0]);
    for (const connection of undone.connections)
      assert.deepEqual(Object.keys(connection), [
        "local",
        "remote",
        "processes",
        "outcome",
        "reason",
        "before",
        "after",
      ]);
  });

  test("what the kernel refuses is named, and the exit status is 3", async () => {
    const pid = await hold("l, c, a = pair(protocol=262); _, c2, a2 = pair(); kept = [c2, a2]");
    const { status, stdout, stderr } = set("--pid", pid, ...detect);
    assert.equal(status, 3);
    assert.match(stdout, /\n4 connections: 2 changed, 2 refused\.\n/);
    assert.match(stderr, /^deadpeer: 2 connections refused: it is a part of an MPTCP .* user timeout\n$/);
    const idle = set("--pid", pid, "--idle", "60s");
    assert.equal(idle.status, 3);
    assert.match(idle.stderr, /^deadpeer: 2 connections refused: it is a part of an MPTCP [^\n]*\n$/);
    assert.doesNotMatch(idle.stderr, /user timeout/);
    assert.deepEqual(await options(), times(2, [1, 60, 2, 7, 32_350]));
  });

  test("--off switches both off, --idle alone one of them on", async () => {
    const pid = await hold(pairs);
    assert.equal(set("--pid", pid, ...detect).status, 0);
    assert.equal(set("--pid", pid, "--off").status, 0);
    assert.deepEqual(await options(), times(4, [0, 19, 2, 7, 0]));
    assert.equal(set("--pid", pid, "--idle", "60s").status, 0);
    assert.deepEqual(await options(), times(4, [1, 60, 2, 7, 0]));
  });

  test("refuses what cannot be meant, in one line, and changes nothing", async () => {
    const pid = await hold(pairs);
    const cases: readonly (readonly [string[], RegExp])[] = [
      [[...detect], /say which connections are meant/],
      [["--all-netns", ...detect], /say which connections are meant/],
      [["--all", "--pid", pid, ...detect], /--all means every connection/],
      [["--pid", pid], /say how soon a dead peer must be noticed/],
      [["--pid", pid, "--off", ...detect], /--off leaves no meaning to --detect/],
      [["--pid", pid, "--idle", "40000s"], /it takes 1s to 32767s/],
      [["--pid", "4194304", ...detect], /there is no such process/],
      [["--undo", "--pid", pid], /--undo .* takes no filters/],
      [["--undo", "nope"], /there is no such run; there is none at all/],
      [["--pid", pid, ...detect, "--watch", "--dry-run"], /give one of them/],
      [["--pid", pid, ...detect, "--watch", "1ms"], /too short/],
      [["--pid", pid, ...detect, "--for", "1s"], /--for only means something with --watch/],
    ];
    for (const [args, message] of cases) {
      const { status, stdout, stderr } = set(...args);
      assert.equal(status, 2, `${args.join(" ")}: ${stderr}`);
      assert.equal(stdout, "");
      assert.match(stderr, message);
      assert.equal(stderr.trimEnd().split("\n").length, 1);
    }
    assert.deepEqual(await options(), times(4, untouched));
  });

  test("--watch goes on with new connections until Ctrl-C", async () => {
    const pid = await hold(pairs);
    const child = start("--pid", pid, ...detect, "--watch", "100ms", "--json");
    const lines = linesOf(child);
    for (let index = 0; index < 4; index++) await lines.next();
    await python?.ask("[kept.extend(pair()[1:])]");
    const fifth = JSON.parse((await lines.next()).value ?? "") as { outcome: string; at: string };
    assert.equal(fifth.outcome, "changed");
    await lines.next();
    assert.deepEqual(await options(), times(6, asPlanned));
    const ended = once(child, "close");
    process.kill(nodeOf(child), "SIGINT");
    assert.deepEqual(await ended, [0, null]);
    assert.equal(set("--undo").status, 0);
    assert.deepEqual(await options(), times(6, untouched));
  });

  test("--watch ends by itself after --for", async () => {
    const pid = await hold(pairs);
    const { status, stdout, stderr } = set("--pid", pid, ...detect, "--watch", "--for", "300ms");
    assert.equal(status, 0);
    assert.match(stdout, /4 connections: 4 changed\./);
    assert.match(stderr, /^deadpeer: 4 connections were changed; .*--undo [0-9a-f]{4}\n$/);
  });

  const start = (...args: string[]): ChildProcess => {
    const [program, ...rest] = [...inside(), process.execPath, cli, "set", ...args];
    return spawn(program, rest, { stdio: ["ignore", "pipe", "pipe"] });
  };

  /** Entries that the runs in the sandbox have by now. */
  function entries(): number {
    const folder = `/proc/${sandbox.pid}/root/run/deadpeer/set`;
    try {
      return readdirSync(folder)
        .filter((name) => name.endsWith(".jsonl"))
        .reduce((sum, name) => sum + readFileSync(`${folder}/${name}`, "utf8").split("\n").length - 2, 0);
    } catch {
      return 0;
    }
  }

  async function inTheMiddle(child: ChildProcess): Promise<void> {
    const deadline = performance.now() + 20_000;
    while (entries() < 1_000 && child.exitCode === null && performance.now() < deadline)
      await new Promise((resolve) => setImmediate(resolve));
  }

  test("killed in the middle, can be undone as a whole", async () => {
    const pid = await hold(many);
    const child = start("--pid", pid, ...detect);
    const ended = once(child, "close");
    await inTheMiddle(child);
    process.kill(nodeOf(child), "SIGKILL");
    await ended;
    const changed = (await options()).filter(([enabled]) => enabled === 1).length;
    assert.ok(changed >= 700 && changed < 4_000, `${changed} were changed`);
    const undone = set("--undo");
    assert.equal(undone.status, 0, undone.stderr);
    assert.deepEqual(await options(), times(4_000, untouched));
    assert.equal(entries(), 0);
  });

  test("interrupted in the middle, says what was done and how to go back", async () => {
    const pid = await hold(many);
    const child = start("--pid", pid, ...detect);
    let said = "";
    child.stderr?.on("data", (text: Buffer) => (said += text.toString()));
    const ended = once(child, "close");
    await inTheMiddle(child);
    process.kill(nodeOf(child), "SIGINT");
    const [status] = (await ended) as [number | null];
    const changed = (await options()).filter(([enabled]) => enabled === 1).length;
    assert.ok(changed < 4_000);
    // nsenter ends as what it started did.
    assert.ok(status === null || status === 130, String(status));
    const words =
      /^deadpeer: interrupted: (\d+) connections were changed; .*: deadpeer set --undo ([0-9a-f]{4})\n$/.exec(
        said,
      );
    assert.equal(Number(words?.[1]), changed, said);
    assert.equal(set("--undo", words?.[2] ?? "").status, 0);
    assert.deepEqual(await options(), times(4_000, untouched));
  });

  test("on a full disk stops, and says what was done by then", async () => {
    const pid = await hold(many);
    sandbox.must("mkdir /run/deadpeer && mount -t tmpfs -o size=256k tmpfs /run/deadpeer");
    const { status, stdout, stderr } = set("--pid", pid, ...detect);
    assert.deepEqual([status, stdout], [3, ""]);
    const words =
      /^deadpeer: cannot write .*ENOSPC.*; before that, (\d+) connections were changed; .*\n$/.exec(stderr);
    const changed = (await options()).filter(([enabled]) => enabled === 1).length;
    assert.equal(Number(words?.[1]), changed, stderr);
    assert.ok(changed > 0 && changed < 4_000);
    assert.equal(set("--undo").status, 0);
    assert.deepEqual(await options(), times(4_000, untouched));
  });

  test("on a disk that was full before leaves no journal, and changes nothing", async () => {
    const pid = await hold(pairs);
    sandbox.must(
      "mkdir -p /run/deadpeer && mount -t tmpfs -o size=64k tmpfs /run/deadpeer && mkdir /run/deadpeer/set && { cat /dev/zero >/run/deadpeer/full || true; }",
    );
    const { status, stderr } = set("--pid", pid, ...detect);
    assert.equal(status, 3);
    assert.match(stderr, /^deadpeer: cannot write .*ENOSPC[^\n]*\n$/);
    assert.equal(sandbox.must("ls /run/deadpeer/set | grep -v lock || true"), "");
    assert.deepEqual(await options(), times(4, untouched));
  });

  test("without the privilege says for which processes, does the rest, and ends with status 3", async () => {
    using command = new ReadableCommand();
    const nobody = [
      "setpriv",
      "--reuid=65534",
      "--regid=65534",
      "--clear-groups",
      "env",
      "TMPDIR=/run/nobody",
    ];
    sandbox.must("mkdir /run/nobody && chown 65534 /run/nobody");
    const pid = await hold(pairs);
    await using other = await PythonSockets.hold(pairs, [...inside(), ...nobody]);
    const own = String(await other.ask("os.getpid()"));
    const asNobody = (...args: string[]): Outcome =>
      sandbox.run(nobody[0] ?? "", ...nobody.slice(1), process.execPath, command.cli, "set", ...args);
    const { status, stdout, stderr } = asNobody("--process", "python3", ...detect);
    assert.equal(status, 3, stderr);
    assert.match(stderr, new RegExp(`^deadpeer: python3 \\(${pid}\\): .*CAP_SYS_PTRACE, run as root\n$`));
    assert.match(stdout, /4 connections: 4 changed\./);
    assert.deepEqual(await options(), times(4, untouched));
    assert.deepEqual(await other.options(), times(4, asPlanned));
    // What root has changed is not theirs to undo, and the other way round.
    assert.match(set("--undo").stdout, /There is no run/);
    assert.equal(asNobody("--undo").status, 0);
    assert.deepEqual(await other.options(), times(4, untouched));
    const denied = asNobody("--pid", pid, ...detect);
    assert.equal(denied.status, 3);
    assert.equal(asNobody("--pid", own, ...detect).status, 0);
  });
});

/** nsenter forks for the process namespace; what it started is its child. */
function nodeOf({ pid }: ChildProcess): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim());
}

async function* linesOf(child: ChildProcess): AsyncGenerator<string, undefined, undefined> {
  let rest = "";
  for await (const part of child.stdout?.iterator({ destroyOnReturn: false }) ?? []) {
    rest += String(part);
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  return undefined;
}
