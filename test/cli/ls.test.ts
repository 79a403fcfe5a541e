import { newOwnedName } from "../../src/kernel/owned-names.js";
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import type { Connection } from "../../src/host/connection.js";
import { loopbackConnection, needsRoot, type Connection as Pair, run } from "../kernel/support.js";
import { Population } from "../kernel/population.js";
import { cli, ReadableCommand } from "../support/checkout.js";

interface Printed {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function deadpeer(...args: string[]): Printed {
  return spawnSync(process.execPath, [cli, ...args], { encoding: "utf8", maxBuffer: 2 ** 28 });
}

function listed(...args: string[]): Connection[] {
  const { status, stdout, stderr } = deadpeer("ls", "--json", ...args);
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout) as Connection[];
}

/** ss names interfaces, puts IPv4-mapped addresses in brackets, and has "*" for no port and for any address. */
function asWeShow(end: string): string {
  return end
    .replace(/%\w+/, "")
    .replace(/^\[::ffff:([\d.]+)\]/, "$1")
    .replace(/^\*:/, "[::]:")
    .replace(/:\*$/, ":0");
}

function endText({ address, port }: Connection["local"]): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

describe("ls agrees with ss on every socket, in every state", { skip: needsRoot }, () => {
  const names = [1, 2, 3].map((number) => `${newOwnedName("lab")}-ls${number}`);
  const populations: Population[] = [];

  async function end(): Promise<void> {
    for (const population of populations.splice(0)) await population.end();
  }

  before(async () => {
    try {
      for (const name of names) populations.push(await Population.start(name));
    } catch (error) {
      await end();
      throw error;
    }
  });
  after(end);

  /** What both tools say about a socket, by its cookie, which ss prints in hexadecimal. */
  type View = Record<string, { readonly [aspect: string]: string | number }>;

  const ssStates: Readonly<Record<string, string>> = {
    ESTAB: "ESTABLISHED",
    "SYN-SENT": "SYN_SENT",
    "SYN-RECV": "SYN_RECV",
    "FIN-WAIT-1": "FIN_WAIT1",
    "FIN-WAIT-2": "FIN_WAIT2",
    "TIME-WAIT": "TIME_WAIT",
    "CLOSE-WAIT": "CLOSE_WAIT",
    "LAST-ACK": "LAST_ACK",
    LISTEN: "LISTEN",
    CLOSING: "CLOSING",
  };
  const ssTimers: Readonly<Record<string, string>> = {
    on: "retransmit",
    keepalive: "keepalive",
    timewait: "time-wait",
    persist: "zero-window",
  };

  function bySs(name: string): View {
    const view: View = {};
    for (const line of run("ip", ["netns", "exec", name, "ss", "-H", "-O", "-tanoe"]).trim().split("\n")) {
      const [state = "", receive, send, local = "", remote = ""] = line.split(/\s+/);
      const [, timer = ""] = /timer:\((\w+)/.exec(line) ?? [];
      const cookie = String(BigInt(`0x${/ sk:([0-9a-f]+)/.exec(line)?.[1]}`));
      const inode = Number(/ ino:(\d+)/.exec(line)?.[1] ?? 0);
      view[cookie] = {
        state: ssStates[state] ?? state,
        local: asWeShow(local),
        // A listener on a mapped address has no peer of either family; we show it as IPv4 throughout.
        remote: local.startsWith("[::ffff:") && remote === "*:*" ? "0.0.0.0:0" : asWeShow(remote),
        receive: Number(receive),
        send: Number(send),
        inode,
        uid: Number(/ uid:(\d+)/.exec(line)?.[1] ?? 0),
        // ss takes the timer that ends an orphaned FIN_WAIT2 for keepalive's.
        timer: state === "FIN-WAIT-2" && inode === 0 ? "time-wait" : (ssTimers[timer] ?? "none"),
      };
    }
    return view;
  }

  function byLs(connections: readonly Connection[]): View {
    const view: View = {};
    for (const { cookie, state, local, remote, queues, inode, uid, timer } of connections)
      view[cookie] = {
        state,
        local: endText(local),
        remote: endText(remote),
        receive: queues.receive,
        send: queues.send,
        inode,
        uid,
        timer: timer.kind,
      };
    return view;
  }

  test("in three namespaces at once, each by its name", () => {
    const connections = listed("--state", "all", ...names.flatMap((name) => ["--netns", name]));
    for (const name of names) {
      const ours = byLs(connections.filter(({ netns }) => netns === name));
      assert.deepEqual(ours, bySs(name));
      const states = new Set(Object.values(ours).map(({ state }) => state));
      for (const state of Object.values(ssStates))
        assert(states.has(state), `${state} was not there to compare`);
    }
  });

  test("--all-netns finds them all", () => {
    const found = new Set(listed("--all-netns", "--fast").map(({ netns }) => netns));
    for (const name of names) assert(found.has(name), name);
  });

  test("without listeners, unless they are asked for", () => {
    const states = new Set(listed("--netns", names[0] as string).map(({ state }) => state));
    assert(!states.has("LISTEN"));
    assert.equal(states.size, Object.keys(ssStates).length - 1);
  });

  test("every held socket is read, and belongs to the process that holds it", () => {
    for (const connection of listed("--netns", names[0] as string)) {
      if (connection.inode === 0) continue;
      assert.equal(connection.settingsFrom, "socket", connection.state);
      assert.deepEqual(new Set(connection.processes.map(({ pid }) => pid)), new Set([populations[0]?.pid]));
    }
  });

  test("as an ordinary user: all connections, own settings, and one line about the rest", () => {
    using command = new ReadableCommand();
    const args = [
      "netns",
      "exec",
      names[0] as string,
      "setpriv",
      "--reuid=65534",
      "--regid=65534",
      "--clear-groups",
    ];
    const { status, stdout, stderr } = spawnSync(
      "ip",
      [...args, process.execPath, command.cli, "ls", "--json", "--state", "all"],
      { encoding: "utf8" },
    );
    assert.equal(status, 0, stderr);
    const connections = JSON.parse(stdout) as Connection[];
    assert.deepEqual(byLs(connections), bySs(names[0] as string));
    const held = connections.filter(({ inode }) => inode !== 0).length;
    assert.equal(
      stderr,
      `deadpeer: settings of ${held} of ${connections.length} connections not read: ` +
        "other users' processes may not be looked into; that needs CAP_SYS_PTRACE, run as root\n",
    );
    const sources = new Set(connections.map(({ settingsFrom }) => settingsFrom));
    assert(sources.has("timer") && !sources.has("socket"));
  });
});

describe("the command", () => {
  let pair: Pair;
  let port: string;
  // By process as well: another test's connection that waits out its end may have had the same port.
  let ours: readonly string[];

  before(async () => {
    pair = await loopbackConnection();
    port = String(pair.port);
    ours = ["--pid", String(process.pid), "--port", port];
  });
  after(async () => {
    await pair[Symbol.asyncDispose]();
  });

  test("a table, a summary and a legend", () => {
    const { status, stdout, stderr } = deadpeer("ls", ...ours);
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^PROCESS +CONNECTION +STATE +HEARD +SETTINGS +IDLE +SENDING +0-WINDOW +FINDINGS\n/);
    assert.match(stdout, new RegExp(`127\\.0\\.0\\.1:${port} [←→] 127\\.0\\.0\\.1:\\d+ +ESTABLISHED`));
    assert.match(stdout, /^2 connections: 2 would never notice a dead peer\. 2 of these stay within/m);
    assert.match(stdout, /^ {2}no-keepalive +\S/m);
    assert.equal(stderr, "");
  });

  test("nothing to show is said, in JSON as an empty array", () => {
    assert.equal(deadpeer("ls", ...ours, "--state", "closing").stdout, "No connections to show.\n");
    assert.equal(deadpeer("ls", "--json", ...ours, "--state", "closing").stdout, "[]\n");
  });

  test("--check fails on what matches, and says so", () => {
    const bad = deadpeer("ls", "--check", "--slower-than", "60s", ...ours);
    assert.equal(bad.status, 1);
    assert.equal(bad.stderr, "deadpeer: check failed: 2 of 2 connections match\n");
    assert.equal(deadpeer("ls", "--check", ...ours).status, 1, "by itself it asks for the unprotected");
    const good = deadpeer("ls", "--check", "--slower-than", "60s", ...ours, "--state", "close-wait");
    assert.equal(good.status, 0);
    assert.match(good.stderr, /check passed: none of 0 connections/);
    const json = deadpeer("ls", "--check", "--json", ...ours);
    assert.equal(json.status, 1);
    assert.equal((JSON.parse(json.stdout) as unknown[]).length, 2);
  });

  test("a reader that has seen enough is no error", () => {
    const { stdout, stderr, status } = spawnSync(
      "bash",
      [
        "-c",
        '"$0" "$1" ls --json --no-group --state all | head -c 1; echo "${PIPESTATUS[0]}"',
        process.execPath,
        cli,
      ],
      { encoding: "utf8" },
    );
    assert.equal(status, 0);
    assert.equal(stderr, "");
    assert.equal(stdout, "[0\n");
  });

  const mistakes: readonly [args: string[], says: RegExp][] = [
    [["--port", "70000"], /--port: "70000" is not a port/],
    [["--pid", "4194304"], /--pid 4194304: there is no such process/],
    [["--remote", "10.0.0.1/64"], /--remote: .*0 to 32/],
    [["--remote", "db.example.com"], /--remote: .*not an IP address/],
    [["--state", "estabished"], /did you mean ESTABLISHED\?/],
    [["--slower-than", "60"], /--slower-than: "60" has no unit/],
    [["--cgroup", "/no/such"], /no cgroup/],
    [["--netns", "dp-no-such"], /no network namespace/],
    [["--path", "aws-nbl"], /did you mean aws-nlb/],
    [["--watch", "99999999h"], /--watch: 99999999h is too long/],
    [["--watch", "1ms"], /--watch: 1ms is too short/],
    [["--watch", "--json"], /--watch.*--json/],
    [["--watch", "--check"], /--watch.*--check/],
    [["--netns", "a", "--all-netns"], /one or the other/],
    [["--no-such-option"], /unknown option/],
  ];
  for (const [args, says] of mistakes)
    test(`ls ${args.join(" ")}: one clear line and exit 2`, () => {
      const { status, stdout, stderr } = deadpeer("ls", ...args);
      assert.equal(status, 2, stderr);
      assert.equal(stdout, "");
      assert.match(stderr, says);
      assert.match(stderr, /^deadpeer: [^\n]+\n$/);
    });
});

// oxlint-disable-next-line no-control-regex -- ESC [ H: the cursor goes to the first line
const twoDrawings = /\u001B\[H[^]*\u001B\[H/;

describe("--watch", () => {
  /** Everything that a program says, and a wait for something in it. */
  class Ear {
    said = "";
    readonly #program: ChildProcess;

    constructor(program: ChildProcess) {
      this.#program = program;
      program.stdout?.setEncoding("utf8").on("data", (text: string) => (this.said += text));
    }

    async hear(what: RegExp): Promise<void> {
      while (!what.test(this.said)) await once(this.#program.stdout as NodeJS.ReadableStream, "data");
    }
  }

  test("in a pipe: one table after the other, until it is interrupted", async () => {
    await using pair = await loopbackConnection();
    // An earlier connection's TIME_WAIT may stand on any port.
    const filter = ["--port", String(pair.port), "--state", "established"];
    const watch = spawn(process.execPath, [cli, "ls", "--watch", "200ms", ...filter]);
    const ear = new Ear(watch);
    await ear.hear(/PROCESS[^]*PROCESS/);
    await using another = await loopbackConnection();
    assert.notEqual(another.port, pair.port);
    const ended = once(watch, "exit");
    watch.kill("SIGINT");
    assert.deepEqual(await ended, [0, null]);
    assert.match(ear.said, /^\d\d:\d\d:\d\d {2}2 connections: /m);
    assert.match(ear.said, /\(0 new, 0 gone\)/);
  });

  test("what comes and goes is marked", async () => {
    const pair = await loopbackConnection();
    const filter = ["--local", `127.0.0.1:${pair.port}`, "--state", "established"];
    const watch = spawn(process.execPath, [cli, "ls", "--watch", "200ms", ...filter]);
    const ear = new Ear(watch);
    await ear.hear(/1 connection: /);
    await pair[Symbol.asyncDispose]();
    await ear.hear(/0 connections\. {2}\(0 new, 1 gone\)[^]*\n- /);
    await ear.hear(/No connections to show\.\n\n$/);
    watch.kill("SIGTERM");
    assert.deepEqual(await once(watch, "exit"), [0, null]);
  });

  test("on a terminal: drawn in place, and the terminal is given back", async () => {
    const command = `exec ${process.execPath} ${cli} ls --watch 200ms --state all`;
    const watch = spawn("script", ["-qfec", `stty cols 80 rows 24; ${command}`, "/dev/null"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const ear = new Ear(watch);
    await ear.hear(twoDrawings);
    const ended = once(watch, "exit");
    // Ctrl-C, as a terminal sends it.
    watch.stdin.write("\u0003");
    assert.deepEqual(await ended, [0, null]);
    assert(ear.said.startsWith("\u001B[?1049h\u001B[?25l"), "the alternate screen, without a cursor");
    assert(ear.said.replace("^C", "").endsWith("\u001B[?25h\u001B[?1049l"), "and back");
  });
});
