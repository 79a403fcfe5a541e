import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { afterEach, beforeEach, describe, test } from "node:test";
import { PythonSockets } from "../host/repair/python-sockets.js";
import { cli } from "../support/checkout.js";
import { type Outcome, Sandbox } from "../support/sandbox.js";

const held = `
l, c, a = pair()
l6, c6, a6 = pair(S.AF_INET6, "::1")
def lives():
    try: return c.send(b"x") == 1 and a.recv(1) == b"x"
    except OSError: return False
`;

describe("deadpeer kill", { skip: Sandbox.missing(), timeout: 300_000 }, () => {
  let sandbox: Sandbox;
  let python: PythonSockets;
  let port = "";

  beforeEach(async () => {
    sandbox = await Sandbox.open();
    python = await PythonSockets.hold(held, inside());
    port = String(await python.ask("l.getsockname()[1]"));
  });
  afterEach(async () => {
    await python[Symbol.asyncDispose]();
    await sandbox[Symbol.asyncDispose]();
  });

  const inside = (): [string, ...string[]] => [
    "nsenter",
    "--target",
    String(sandbox.pid),
    "--mount",
    "--net",
    "--pid",
  ];
  const kill = (...args: string[]): Outcome => sandbox.deadpeer("kill", ...args);
  /** Whether the connection carries data still. */
  const lives = async (): Promise<boolean> => (await python.ask("lives()")) as boolean;

  test("lists with --dry-run and ends nothing", async () => {
    const { status, stdout } = kill("--remote", `*:${port}`, "--dry-run");
    assert.equal(status, 0);
    assert.match(
      stdout,
      /^PROCESS +CONNECTION +STATE +HEARD\npython3 \d+ +\S+ (→|←) \S+ +ESTABLISHED +\S+\n/,
    );
    assert.match(stdout, /\n1 connection would be ended\.\n$/);
    assert.ok(await lives());
  });

  test("asks nobody where nobody is there, and ends nothing", async () => {
    const { status, stdout, stderr } = kill("--remote", `*:${port}`);
    assert.equal(status, 2);
    assert.equal(stdout, "");
    assert.match(
      stderr,
      /^deadpeer: 1 connection would be ended, and nobody is there to be asked: add --yes/,
    );
    assert.ok(await lives());
  });

  test("with --yes prints what was ended", async () => {
    const { status, stdout, stderr } = kill("--remote", `*:${port}`, "--yes");
    assert.deepEqual([status, stderr], [0, ""]);
    assert.match(stdout, /python3 \d+ +\S+ (→|←) 127\.0\.0\.1:\d+ +ESTABLISHED/);
    assert.match(stdout, /\n1 connection: 1 ended\.\n$/);
    assert.equal(await lives(), false);
  });

  test("with --json prints one value", () => {
    const { status, stdout } = kill("--remote", `[::1]`, "--state", "established", "--yes", "--json");
    assert.equal(status, 0);
    const { applied, connections } = JSON.parse(stdout) as {
      applied: boolean;
      connections: { outcome: string; remote: { address: string }; unanswered: unknown }[];
    };
    assert.equal(applied, true);
    // The end of one of the two is the end of the other.
    assert.deepEqual(connections.map(({ outcome }) => outcome).sort(), ["ended", "gone"]);
    assert.deepEqual(
      connections.map(({ unanswered }) => unanswered),
      [null, null],
    );
  });

  test("leaves idle connections alone that --silent-for asks about", async () => {
    const { status, stdout } = kill("--all", "--silent-for", "1ms", "--yes");
    assert.deepEqual([status, stdout], [0, "No connection to end.\n"]);
    assert.ok(await lives());
  });

  for (const [typed, ends] of [
    ["y\n", true],
    ["n\n", false],
    ["\n", false],
    ["\u0004", false],
    ["\u0003", false],
  ] as const)
    test(`asks on a terminal, where ${JSON.stringify(typed)} ${ends ? "ends" : "keeps"} it`, async () => {
      const command = `${process.execPath} ${cli} kill --remote '*:${port}'`;
      const [program, ...args] = [...inside(), "script", "-qec", command, "/dev/null"];
      const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
      let said = "";
      child.stdout.on("data", (text: Buffer) => {
        const wasAsked = said.includes("[y/N]");
        said += text.toString();
        if (!wasAsked && said.includes("[y/N]")) child.stdin.write(typed);
      });
      await once(child, "close");
      assert.match(said, /End 1 connection\? \[y\/N\]/);
      assert.match(said, ends ? /1 connection: 1 ended\./ : /nothing was ended/);
      if (ends) assert.equal(await lives(), false);
      else assert.ok(await lives());
    });

  describe("a connection of the very session", () => {
    /** Holds a connection to itself, and gives the command, as the server of a session does. */
    const session = String.raw`
import os, pty, socket, subprocess, sys
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server = listener.accept()[0]
ours = ["--remote", "*:%d" % client.getsockname()[1]]
ask, *words = sys.argv[1:]
if ask:
    pid, terminal = pty.fork()
    if pid == 0: os.execv(words[0], words + ours)
    said = b""
    while True:
        try: part = os.read(terminal, 1000)
        except OSError: break
        if not part: break
        if b"in full: " in said + part and b"in full: " not in said: os.write(terminal, ask.encode() + b"\n")
        said += part
    os.waitpid(pid, 0)
    print(said.decode())
else:
    done = subprocess.run(words + ours, capture_output=True, text=True)
    print(done.stdout); sys.stderr.write(done.stderr)
try:
    server.send(b"x"); print("it lives")
except OSError: print("it has ended")
`;
    const inSession = (typed: string, ...args: string[]): Outcome =>
      sandbox.run("python3", "-c", session, typed, process.execPath, cli, "kill", ...args);
    const warning =
      /1 connection is this very session's, held by python3 \(\d+\): its end may end the session/;

    test("is said with --dry-run, and marked in the JSON", () => {
      const text = inSession("", "--dry-run");
      assert.match(text.stderr, warning);
      assert.match(text.stdout, /1 connection would be ended\.[^]*it lives/);
      const { stdout } = inSession("", "--dry-run", "--json");
      assert.match(stdout, /"ownSession": true/);
      assert.match(kill("--remote", `*:${port}`, "--dry-run", "--json").stdout, /"ownSession": false/);
    });

    test("is ended with --yes, and said", () => {
      const { stdout, stderr } = inSession("", "--yes");
      assert.match(stderr, warning);
      assert.match(stdout, /1 connection: 1 ended\.[^]*it has ended/);
    });

    test("is asked about in particular: a short yes is none", () => {
      const short = inSession("y").stdout;
      assert.match(short, warning);
      assert.match(short, /this session's own too\? Type "yes" in full: [^]*nothing was ended[^]*it lives/);
      assert.match(inSession("yes").stdout, /1 ended\.[^]*it has ended/);
    });
  });

  test("refuses what cannot be meant, in one line", async () => {
    const cases: readonly (readonly [string[], RegExp])[] = [
      [[], /say which connections are meant/],
      [["--yes"], /say which connections are meant/],
      [["--silent-for", "10m", "--yes"], /say which connections are meant/],
      [["--all", "--port", port], /--all means every connection/],
      [["--port", port, "--silent-for", "10"], /--silent-for/],
      [["--port", port, "--silent-for", "0"], /--silent-for/],
      [["--port", port, "--dry-run", "--yes"], /give one of them/],
      [["--port", "70000"], /--port/],
    ];
    for (const [args, message] of cases) {
      const { status, stdout, stderr } = kill(...args);
      assert.equal(status, 2, `${args.join(" ")}: ${stdout}`);
      assert.match(stderr, message);
      assert.equal(stderr.trimEnd().split("\n").length, 1);
    }
    assert.ok(await lives());
  });

  test("says that CAP_NET_ADMIN is missing before it asks", async () => {
    const command = ["--bounding-set=-net_admin", "--inh-caps=-net_admin"];
    const { status, stderr } = sandbox.run(
      "setpriv",
      ...command,
      process.execPath,
      cli,
      "kill",
      "--port",
      port,
      "--yes",
    );
    assert.equal(status, 3);
    assert.match(stderr, /^deadpeer: ending connections needs CAP_NET_ADMIN/);
    const listing = ["setpriv", ...command, process.execPath, cli, "kill", "--all", "--dry-run"] as const;
    const dry = sandbox.run(...listing);
    assert.equal(dry.status, 3);
    assert.match(dry.stdout, /connections would be ended\.\n$/);
    assert.match(dry.stderr, /^deadpeer: ending connections needs CAP_NET_ADMIN[^\n]*\n$/);
    assert.ok(await lives());
  });
});
