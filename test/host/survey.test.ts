import { newOwnedName } from "../../src/kernel/owned-names.js";
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { DeadpeerError } from "../../src/errors.js";
import { type Connection, withinHost } from "../../src/host/connection.js";
import { type FilterOptions, parseFilter } from "../../src/host/filter.js";
import { HostWalk, survey, surveyHost } from "../../src/host/survey.js";
import { processCgroup } from "../../src/kernel/processes.js";
import { namespaceAt } from "../../src/kernel/namespaces.js";
import { needsRoot, run } from "../kernel/support.js";

/** Three connections of another program: keepalive 60/10/3 with a user timeout; bare; over IPv6. It prints their ports. */
const program = String.raw`
import json, random, socket as S, sys
def below_ephemeral(c, host):
    # Where the kernel gives no connection its port: nobody else's can be taken for these.
    for port in random.sample(range(11000, 31000), 100):
        try: c.bind((host, port)); return
        except OSError: pass
    sys.exit("no free port")
l4 = S.socket(); l4.bind(("127.0.0.1", 0)); l4.listen()
l6 = S.socket(S.AF_INET6); l6.bind(("::1", 0)); l6.listen()
def made(listener, family=S.AF_INET):
    c = S.socket(family); below_ephemeral(c, listener.getsockname()[0]); c.connect(listener.getsockname()); keep.append(listener.accept()); return c
keep = []
guarded, bare, six = made(l4), made(l4), made(l6, S.AF_INET6)
for option, value in ((S.TCP_KEEPIDLE, 60), (S.TCP_KEEPINTVL, 10), (S.TCP_KEEPCNT, 3), (18, 90000)):
    guarded.setsockopt(S.IPPROTO_TCP, option, value)
guarded.setsockopt(S.SOL_SOCKET, S.SO_KEEPALIVE, 1)
six.setsockopt(S.SOL_SOCKET, S.SO_KEEPALIVE, 1)
print(json.dumps({"guarded": guarded.getsockname()[1], "bare": bare.getsockname()[1], "six": six.getsockname()[1]}), flush=True)
sys.stdin.read()
`;

interface Ports {
  readonly guarded: number;
  readonly bare: number;
  readonly six: number;
}

let python: ChildProcess;
let ports: Ports;

before(async () => {
  python = spawn("python3", ["-c", program], { stdio: ["pipe", "pipe", "inherit"] });
  const [line] = (await once(python.stdout as NodeJS.ReadableStream, "data")) as [Buffer];
  ports = JSON.parse(line.toString()) as Ports;
});

after(async () => {
  const ended = once(python, "exit");
  python.stdin?.end();
  await ended;
});

function only(options: FilterOptions, more: { fast?: boolean } = {}): Connection {
  const connections = survey({ filter: parseFilter(options), ...more });
  assert.equal(connections.length, 1, JSON.stringify(options));
  return connections[0] as Connection;
}

describe("connections of another program", () => {
  test("with exactly its settings, its process, and the model's times", () => {
    const { processes, keepalive, userTimeoutMs, settingsFrom, detection, findings, regime, ...rest } = only({
      local: [`:${ports.guarded}`],
    });
    assert.equal(processes.length, 1);
    assert.equal(processes[0]?.pid, python.pid);
    assert.match(processes[0]?.name ?? "", /^python/);
    assert.deepEqual(keepalive, { enabled: true, idleMs: 60_000, intervalMs: 10_000, count: 3 });
    assert.equal(userTimeoutMs, 90_000);
    assert.equal(settingsFrom, "socket");
    const ms = 90_000;
    assert.deepEqual(detection, {
      idleMs: ms,
      sendingMs: ms,
      zeroWindowMs: ms,
      nowMs: ms,
      worstMs: ms,
      deadPeerMs: ms,
    });
    assert.deepEqual(findings, []);
    assert.equal(regime, "idle");
    assert.equal(rest.state, "ESTABLISHED");
    assert.equal(rest.timer.kind, "keepalive");
    assert(rest.timer.expiresMs > 0 && rest.timer.expiresMs <= 60_000);
    assert(rest.lastHeardMs !== null && rest.lastHeardMs < 60_000);
    assert.equal(rest.uid, process.getuid?.());
    assert(withinHost(rest));
  });

  test("bare", () => {
    const { keepalive, detection, findings } = only({ local: [`127.0.0.0/8:${ports.bare}`] });
    assert.equal(keepalive?.enabled, false);
    assert.equal(detection.idleMs, null);
    assert.equal(detection.nowMs, null);
    assert.equal(detection.deadPeerMs, null);
    assert.deepEqual(
      findings.map(({ code }) => code),
      ["no-keepalive", "no-user-timeout"],
    );
  });

  test("over IPv6, with the system's times", () => {
    const { family, local, keepalive, detection } = only({ local: [`[::1]:${ports.six}`] });
    assert.equal(family, 6);
    assert.equal(local.address, "::1");
    assert.equal(keepalive?.enabled, true);
    assert.equal(detection.idleMs, keepalive.idleMs + keepalive.intervalMs * keepalive.count);
    assert.equal(detection.zeroWindowMs, null);
    assert.equal(detection.worstMs, null);
  });

  test("fast: what the timer tells, and no processes unless asked for", () => {
    const guarded = only({ local: [`:${ports.guarded}`] }, { fast: true });
    assert.equal(guarded.settingsFrom, "timer");
    assert.equal(guarded.keepalive?.enabled, true);
    assert.equal(guarded.userTimeoutMs, null);
    assert.deepEqual(guarded.processes, []);
    const bare = only({ local: [`:${ports.bare}`], pid: [String(python.pid)] }, { fast: true });
    assert.equal(bare.keepalive, null);
    assert.equal(bare.detection.idleMs, null);
    assert.equal(bare.processes[0]?.pid, python.pid);
  });

  test("a socket that two processes share is one connection of both", async () => {
    const { inode } = only({ local: [`:${ports.bare}`] });
    const sharer = spawn(
      "python3",
      [
        "-c",
        "import os,sys; p=os.pidfd_open(int(sys.argv[1])); import ctypes; " +
          "fd=ctypes.CDLL(None).syscall(438,p,int(sys.argv[2]),0); print(fd,flush=True); sys.stdin.read()",
        String(python.pid),
        String(only({ local: [`:${ports.bare}`] }).processes[0]?.fd),
      ],
      { stdio: ["pipe", "pipe", "inherit"] },
    );
    try {
      await once(sharer.stdout, "data");
      const shared = only({ local: [`:${ports.bare}`] });
      assert.equal(shared.inode, inode);
      assert.deepEqual(new Set(shared.processes.map(({ pid }) => pid)), new Set([python.pid, sharer.pid]));
      assert.equal(shared.settingsFrom, "socket");
    } finally {
      const ended = once(sharer, "exit");
      sharer.stdin.end();
      await ended;
    }
  });
});

function found(options: FilterOptions): Set<number> {
  const own = survey({ filter: parseFilter({ pid: [String(python.pid)], ...options }) });
  const made = new Set([ports.guarded, ports.bare, ports.six]);
  return new Set(own.map(({ local }) => local.port).filter((port) => made.has(port)));
}

function refuses(options: FilterOptions, code: string): void {
  assert.throws(
    () => survey({ filter: parseFilter(options) }),
    (error) => error instanceof DeadpeerError && error.code === code,
  );
}

describe("filters", () => {
  test("by process", () => {
    assert.deepEqual(found({}), new Set([ports.guarded, ports.bare, ports.six]));
    assert.deepEqual(found({ process: ["no such"] }), new Set());
  });
  test("by either port", () =>
    assert.equal(
      survey({ filter: parseFilter({ port: [String(ports.guarded)] }) }).length,
      2,
      "both ends are on this host",
    ));
  test("by several of a kind", () =>
    assert.deepEqual(
      found({ local: [`:${ports.guarded}`, `[::1]:${ports.six}`] }),
      new Set([ports.guarded, ports.six]),
    ));
  test("by address", () => assert.deepEqual(found({ remote: ["::1"] }), new Set([ports.six])));
  test("unprotected", () => assert.deepEqual(found({ unprotected: true }), new Set([ports.bare])));
  test("slower than", () => {
    assert.deepEqual(found({ slowerThan: "90s" }), new Set([ports.bare, ports.six]));
    assert.deepEqual(found({ slowerThan: "89s" }), new Set([ports.guarded, ports.bare, ports.six]));
  });
  test("by state", () => {
    assert.deepEqual(found({ state: ["close-wait"] }), new Set());
    assert.deepEqual(found({ state: ["estab,close-wait"] }), new Set([ports.guarded, ports.bare, ports.six]));
  });

  test("by cgroup", () => {
    const own = processCgroup(python.pid ?? 0);
    assert(own !== null);
    assert.deepEqual(found({ cgroup: [own] }), new Set([ports.guarded, ports.bare, ports.six]));
    assert.deepEqual(found({ cgroup: ["/"] }), new Set([ports.guarded, ports.bare, ports.six]));
  });

  test("what does not exist is refused", () => {
    refuses({ pid: ["4194304"] }, "bad-filter");
    refuses({ cgroup: ["/no/such/cgroup"] }, "bad-filter");
    refuses({ netns: ["dp-no-such-namespace"] }, "no-namespace");
  });

  test("listeners on demand", () => {
    const listening = survey({ filter: parseFilter({ pid: [String(python.pid)], state: ["listen"] }) });
    assert.equal(listening.length, 2);
    assert(listening.every(({ regime, findings }) => regime === "none" && findings.length === 0));
    const walk = surveyHost({ filter: parseFilter({ pid: [String(python.pid)], listeners: true }) });
    assert.equal(walk.sight.considered, 8);
  });
});

test("connections that pass by are those that can be kept", () => {
  const filter = parseFilter({ pid: [String(python.pid)], state: ["all"] });
  const walk = new HostWalk({ filter });
  const passed = Array.from(walk.passing(), (connection) => connection.copy());
  assert.equal(passed.length, 8);
  assert.equal(new Set(walk.passing()).size, 1);
  assert.deepEqual([...walk], passed);
});

describe("what was seen", () => {
  test("is counted, and nothing is missing for root", { skip: needsRoot }, () => {
    const walk = new HostWalk({ filter: parseFilter({ pid: [String(python.pid)], unprotected: true }) });
    const matched = [...walk].length;
    const sight = walk.sight();
    assert.equal(sight.considered, 6);
    assert.equal(sight.matched, matched);
    assert.equal(sight.unread, 0);
    assert.equal(sight.unreadBecause, null);
  });

  test("an unaccepted connection has no process, and its timer tells", { skip: needsRoot }, async () => {
    const name = `${newOwnedName("lab")}-survey`;
    run("ip", ["netns", "add", name]);
    try {
      run("ip", ["-n", name, "link", "set", "lo", "up"]);
      run("ip", ["netns", "exec", name, "sysctl", "-qw", "net.ipv4.tcp_keepalive_time=120"]);
      const child = spawn(
        "ip",
        [
          "netns",
          "exec",
          name,
          "python3",
          "-c",
          "import socket as S,sys; l=S.socket(); l.setsockopt(S.SOL_SOCKET,S.SO_KEEPALIVE,1); l.bind(('127.0.0.1',0)); l.listen(); " +
            "c=S.create_connection(l.getsockname()); print(c.getsockname()[1],flush=True); sys.stdin.read()",
        ],
        { stdio: ["pipe", "pipe", "inherit"] },
      );
      try {
        const [line] = (await once(child.stdout, "data")) as [Buffer];
        const found = survey({
          filter: parseFilter({ remote: [`:${line.toString().trim()}`] }),
          namespaces: [namespaceAt(name)],
        });
        assert.equal(found.length, 1);
        assert.deepEqual(found[0]?.processes, []);
        assert.equal(found[0]?.settingsFrom, "timer");
        assert.equal(found[0]?.keepalive?.idleMs, 120_000, "the default of that namespace, not of ours");
        assert.equal(found[0]?.netns, undefined, "only one was asked for");
      } finally {
        child.kill("SIGKILL");
        await once(child, "exit");
      }
    } finally {
      run("ip", ["netns", "delete", name]);
    }
  });
});
