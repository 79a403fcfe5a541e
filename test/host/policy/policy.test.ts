import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, rmdirSync } from "node:fs";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { DeadpeerError, type ErrorCode } from "../../../src/errors.js";
import { parseEndpoint } from "../../../src/host/address.js";
import { attachNew } from "../../../src/host/policy/attach.js";
import { addPolicy } from "../../../src/host/policy/add.js";
import { withCgroup } from "../../../src/host/policy/cgroup.js";
import { applyToExisting } from "../../../src/host/policy/existing.js";
import { establishedProgram } from "../../../src/host/policy/established.js";
import { listPolicies, policiesOf, type Policy, policyOf } from "../../../src/host/policy/find.js";
import { encodeRecord, policyNames } from "../../../src/host/policy/record.js";
import { removePolicy } from "../../../src/host/policy/remove.js";
import type { PolicyRequest } from "../../../src/host/policy/request.js";
import { undoRepair } from "../../../src/host/repair/undo.js";
import { BPF_CGROUP_SOCK_OPS, BPF_PROG_ATTACH, BPF_PROG_TYPE_SOCK_OPS } from "../../../src/kernel/bpf/abi.js";
import { Assembler } from "../../../src/kernel/bpf/assembler.js";
import { bpf, BpfAttributes } from "../../../src/kernel/bpf/call.js";
import { attachedPrograms, attachProgram } from "../../../src/kernel/bpf/cgroup-programs.js";
import { createValue, writeValue } from "../../../src/kernel/bpf/maps.js";
import { loadProgram } from "../../../src/kernel/bpf/programs.js";
import type { OwnedFd } from "../../../src/kernel/fd.js";
import { builtSource, needsRoot } from "../../kernel/support.js";
import { TestCgroup } from "../../support/cgroup.js";
import { PythonSockets, times } from "../repair/python-sockets.js";

/** Defines what the tests ask the program for: connections, and settings made before they stand. */
const program = String.raw`
listeners = []
def listener(family, address, *before):
    l = S.socket(family, S.SOCK_STREAM)
    for o in before: l.setsockopt(*o)
    l.bind((address, 0)); l.listen(); listeners.append(l)
    return l.getsockname()[1]
def connect(family=S.AF_INET, address="127.0.0.1", port=None, *before):
    port = port or listener(family, address)
    c = S.socket(family, S.SOCK_STREAM)
    for o in before: c.setsockopt(*o)
    c.connect((address, port))
    l = next(l for l in listeners if l.getsockname()[1] == port)
    a, _ = l.accept()
    kept.extend([c, a])
    return [options(c), options(a)]
def setting(s, level, option, value):
    s.setsockopt(level, option, value)
    return options(s)
def errno_of(s, value):
    try: s.setsockopt(1, 9, value)
    except OSError as e: return __import__("errno").errorcode[e.errno]
`;

const full: PolicyRequest = {
  settings: { keepalive: { idleMs: 60_000, intervalMs: 10_000, count: 3 }, userTimeoutMs: 90_000 },
};
const whole = [1, 60, 10, 3, 90_000];
const untouched = [0, 7_200, 75, 9, 0];

async function inside<T>({ wrapper }: TestCgroup, work: (python: PythonSockets) => Promise<T>): Promise<T> {
  await using python = await PythonSockets.hold(program, wrapper);
  return await work(python);
}

function counters(cgroup: TestCgroup): Policy["counters"] | undefined {
  return policyOf(cgroup.path)?.counters;
}

function refused(work: () => unknown, code: ErrorCode, ...words: readonly string[]): void {
  assert.throws(work, (error) => {
    assert.ok(error instanceof DeadpeerError, String(error));
    assert.equal(error.code, code, error.message);
    for (const word of words) assert.ok(error.message.includes(word), error.message);
    return true;
  });
}

const urlOf = (path: string): string => JSON.stringify(new URL(path, builtSource).href);

describe("a policy on a cgroup", { skip: needsRoot }, () => {
  test("sets connections of either family and a mapped one, at both ends", async () => {
    await using cgroup = new TestCgroup();
    addPolicy(cgroup.path, full);
    await inside(cgroup, async (python) => {
      assert.deepEqual(await python.ask("connect()"), [whole, whole]);
      assert.deepEqual(await python.ask('connect(S.AF_INET6, "::1")'), [whole, whole]);
      const port = Number(await python.ask('listener(S.AF_INET, "127.0.0.1")'));
      assert.deepEqual(await python.ask(`connect(S.AF_INET6, "::ffff:127.0.0.1", ${port})`), [whole, whole]);
    });
    assert.deepEqual(counters(cgroup), { touched: 6, leftAlone: 0, failed: 0, held: 0 });
  });

  test("wins over what the program set before connecting, and over what a listener hands down", async () => {
    await using cgroup = new TestCgroup();
    addPolicy(cgroup.path, full);
    await inside(cgroup, async (python) => {
      const own = "(1, 9, 1), (6, 4, 5), (6, 5, 6), (6, 6, 7), (6, 18, 1234)";
      const port = Number(await python.ask(`listener(S.AF_INET, "127.0.0.1", ${own})`));
      assert.deepEqual(await python.ask(`connect(S.AF_INET, "127.0.0.1", ${port}, ${own})`), [whole, whole]);
      // Before it is connected the socket is the program's own.
      assert.deepEqual(await python.ask("options(listeners[-1])"), [1, 5, 6, 7, 1_234]);
    });
    assert.deepEqual(counters(cgroup), { touched: 2, leftAlone: 0, failed: 0, held: 0 });
  });

  test("holds against what the program sets later, and touches no other option", async () => {
    await using cgroup = new TestCgroup();
    const { policy } = addPolicy(cgroup.path, full);
    assert.equal(policy.holdsLater, true);
    await inside(cgroup, async (python) => {
      for (const [family, address] of [
        ["S.AF_INET", "127.0.0.1"],
        ["S.AF_INET6", "::1"],
      ]) {
        await python.ask(`connect(${family}, "${address}")`);
        for (const option of ["1, 9, 0", "6, 4, 5", "6, 5, 6", "6, 6, 7", "6, 18, 1234"])
          assert.deepEqual(await python.ask(`setting(kept[-1], ${option})`), whole, option);
        // The same value again is nothing to hold against.
        assert.deepEqual(await python.ask("setting(kept[-1], 6, 4, 60)"), whole);
      }
      assert.equal(await python.ask("[kept[-1].setsockopt(6, 1, 1), kept[-1].getsockopt(6, 1)][1]"), 1);
      // A value that the kernel shows no program in full reaches it all the same.
      assert.equal(
        await python.ask(
          '[kept[-1].setsockopt(6, 13, b"reno" + bytes(8000)), kept[-1].getsockopt(6, 13, 16).decode().strip(chr(0))][1]',
        ),
        "reno",
      );
      // A value too short is refused as it is without a policy.
      assert.equal(await python.ask('errno_of(kept[-1], b"")'), "EINVAL");
      assert.equal(
        await python.ask(
          "(lambda u: [u.setsockopt(1, 9, 1), u.getsockopt(1, 9)][1])(S.socket(S.AF_INET, S.SOCK_DGRAM))",
        ),
        1,
      );
      assert.deepEqual(await python.ask("setting(S.socket(), 6, 4, 5)"), [0, 5, 75, 9, 0]);
    });
    assert.deepEqual(counters(cgroup), { touched: 4, leftAlone: 0, failed: 0, held: 10 });
  });

  test("with onlyUnset leaves alone what the program chose, before and later", async () => {
    await using cgroup = new TestCgroup();
    const { policy } = addPolicy(cgroup.path, { ...full, onlyUnset: true });
    assert.equal(policy.holdsLater, false);
    await inside(cgroup, async (python) => {
      const port = Number(await python.ask('listener(S.AF_INET, "127.0.0.1")'));
      const connect = (...before: string[]): Promise<unknown> =>
        python.ask(`connect(S.AF_INET, "127.0.0.1", ${[port, ...before].join(", ")})`);
      assert.deepEqual(await connect(), [whole, whole]);
      assert.deepEqual(await connect("(1, 9, 1)"), [[1, 7_200, 75, 9, 90_000], whole]);
      assert.deepEqual(await connect("(6, 18, 1234)"), [[1, 60, 10, 3, 1_234], whole]);
      assert.deepEqual(await connect("(1, 9, 1)", "(6, 18, 1234)"), [[1, 7_200, 75, 9, 1_234], whole]);
      assert.deepEqual(await python.ask("setting(kept[-1], 6, 4, 5)"), [1, 5, 10, 3, 90_000]);
    });
    assert.deepEqual(counters(cgroup), { touched: 7, leftAlone: 1, failed: 0, held: 0 });
  });

  for (const [what, settings, after] of [
    ["a user timeout alone", { userTimeoutMs: 5_000 }, [1, 5, 6, 7, 5_000]],
    ["one keepalive time", { keepalive: { intervalMs: 20_000 } }, [1, 5, 20, 7, 1_234]],
    ["keepalive off", { keepalive: null }, [0, 5, 6, 7, 1_234]],
  ] as const)
    test(`${what}: the rest is the program's`, async () => {
      await using cgroup = new TestCgroup();
      addPolicy(cgroup.path, { settings });
      await inside(cgroup, async (python) => {
        const own = "(1, 9, 1), (6, 4, 5), (6, 5, 6), (6, 6, 7), (6, 18, 1234)";
        const [client] = (await python.ask(`connect(S.AF_INET, "127.0.0.1", None, ${own})`)) as unknown[];
        assert.deepEqual(client, after);
      });
    });
});

describe("which connections a policy is for", { skip: needsRoot }, () => {
  const both = [true, true];
  const neither = [false, false];
  const connecting = [true, false];

  test("--port is that of either end", async () => {
    assert.deepEqual(await fits((port) => ({ ports: [port] })), both);
    assert.deepEqual(await fits((port) => ({ ports: [1, port] }), "S.AF_INET6", "::1"), both);
    assert.deepEqual(await fits(() => ({ ports: [1] })), neither);
  });

  test("--remote is the peer's port", async () => {
    assert.deepEqual(await fits((port) => ({ remote: [`*:${port}`] })), connecting);
    assert.deepEqual(await fits((port) => ({ remote: [`*:${port}`] }), "S.AF_INET6", "::1"), connecting);
  });

  test("--remote is the peer's address or network, over IPv4", async () => {
    for (const network of ["127.0.0.1", "127.0.0.0/8", "127.0.0.0/31", "0.0.0.0/0"])
      assert.deepEqual(await fits(() => ({ remote: [network] })), both, network);
    for (const network of ["127.0.0.2", "128.0.0.0/1", "127.0.0.2/31", "::1", "::/0"])
      assert.deepEqual(await fits(() => ({ remote: [network] })), neither, network);
    assert.deepEqual(await fits(() => ({ remote: ["10.0.0.0/8", "::1", "127.0.0.1"] })), both);
    assert.deepEqual(await fits((port) => ({ remote: [`127.0.0.1:${port}`] })), connecting);
    assert.deepEqual(await fits((port) => ({ remote: [`127.0.0.2:${port}`] })), neither);
  });

  test("and over IPv6", async () => {
    for (const network of ["::1", "::/0", "::/127", "0::/96"])
      assert.deepEqual(await fits(() => ({ remote: [network] }), "S.AF_INET6", "::1"), both, network);
    for (const network of ["::2", "fe80::/10", "::2/127", "0.0.0.0/0", "2001:db8::/33"])
      assert.deepEqual(await fits(() => ({ remote: [network] }), "S.AF_INET6", "::1"), neither, network);
  });

  test("an IPv6 socket's connection to a mapped address is one over IPv4", async () => {
    const mapped = ["S.AF_INET6", "::ffff:127.0.0.1", "S.AF_INET"] as const;
    assert.deepEqual(await fits(() => ({ remote: ["127.0.0.0/8"] }), ...mapped), both);
    assert.deepEqual(await fits(() => ({ remote: ["::/0"] }), ...mapped), neither);
  });

  test("both kinds have to fit", async () => {
    assert.deepEqual(await fits((port) => ({ ports: [port], remote: ["127.0.0.1"] })), both);
    assert.deepEqual(await fits(() => ({ ports: [1], remote: ["127.0.0.1"] })), neither);
    assert.deepEqual(await fits((port) => ({ ports: [port], remote: ["10.0.0.0/8"] })), neither);
  });

  test("a thousand of them are taken, and more refused", async () => {
    const addresses = Array.from({ length: 999 }, (_, index) => `2001:db8::${(index + 2).toString(16)}`);
    assert.deepEqual(
      await fits((port) => ({ remote: [...addresses, `[::1]:${port}`] }), "S.AF_INET6", "::1"),
      connecting,
    );
    const ports = Array.from({ length: 1_001 }, (_, index) => index + 1);
    refused(() => addPolicy("/", { ...full, ports }), "bad-option", "1000", "1001");
  });
});

describe("policies beside one another and beside others' programs", { skip: needsRoot }, () => {
  test("the inner cgroup's policy decides; the outer one's for what does not fit it", async () => {
    await using outer = new TestCgroup();
    await using inner = new TestCgroup(outer.path);
    addPolicy(outer.path, { settings: { keepalive: { idleMs: 7_000 }, userTimeoutMs: 7_000 } });
    await inside(inner, async (python) => {
      const port = Number(await python.ask('listener(S.AF_INET, "127.0.0.1")'));
      addPolicy(inner.path, { ...full, ports: [port] });
      assert.deepEqual(await python.ask(`connect(S.AF_INET, "127.0.0.1", ${port})`), [whole, whole]);
      assert.deepEqual(await python.ask("setting(kept[-1], 6, 4, 5)"), whole);
      const outers = [1, 7, 75, 9, 7_000];
      assert.deepEqual(await python.ask("connect()"), [outers, outers]);
      assert.deepEqual(await python.ask("setting(kept[-1], 6, 4, 5)"), outers);
    });
    assert.deepEqual(counters(inner), { touched: 2, leftAlone: 0, failed: 0, held: 1 });
    assert.deepEqual(counters(outer), { touched: 2, leftAlone: 0, failed: 0, held: 1 });
  });

  test("an inner policy with onlyUnset keeps the outer one from what it leaves alone", async () => {
    await using outer = new TestCgroup();
    await using inner = new TestCgroup(outer.path);
    addPolicy(outer.path, full);
    addPolicy(inner.path, { settings: { userTimeoutMs: 5_000 }, onlyUnset: true });
    await inside(inner, async (python) => {
      assert.deepEqual(await python.ask('connect(S.AF_INET, "127.0.0.1", None, (6, 18, 1234))'), [
        [0, 7_200, 75, 9, 1_234],
        [0, 7_200, 75, 9, 5_000],
      ]);
      assert.deepEqual(await python.ask("setting(kept[-1], 6, 18, 77)"), [0, 7_200, 75, 9, 77]);
    });
  });

  test("others' programs stay, before and behind ours", async () => {
    await using cgroup = new TestCgroup();
    const fd = openSync(cgroup.directory, "r");
    try {
      using first = otherProgram("first");
      using last = otherProgram("last");
      attachProgram(fd, BPF_CGROUP_SOCK_OPS, first);
      const [firstId] = attachedPrograms(fd, BPF_CGROUP_SOCK_OPS).ids;
      const { policy } = addPolicy(cgroup.path, full);
      attachProgram(fd, BPF_CGROUP_SOCK_OPS, last);
      const { ids } = attachedPrograms(fd, BPF_CGROUP_SOCK_OPS);
      assert.equal(ids.length, 3);
      assert.deepEqual(ids.slice(0, 2), [firstId, policy.programs.established]);
      await inside(cgroup, async (python) => {
        assert.deepEqual(await python.ask("connect()"), [whole, whole]);
      });
      assert.equal(removePolicy(policy), true);
      assert.deepEqual(attachedPrograms(fd, BPF_CGROUP_SOCK_OPS).ids, [ids[0], ids[2]]);
    } finally {
      closeSync(fd);
    }
  });

  for (const [what, flags] of [
    ["admits none", 0],
    ["may be overridden", 1],
  ] as const)
    test(`a program that ${what} is neither replaced nor silenced`, async () => {
      await using outer = new TestCgroup();
      await using inner = new TestCgroup(outer.path);
      const fd = openSync(outer.directory, "r");
      try {
        using other = otherProgram("alone");
        const attributes = new BpfAttributes()
          .word(0, fd)
          .word(4, other.fd)
          .word(8, BPF_CGROUP_SOCK_OPS)
          .word(12, flags);
        bpf("BPF_PROG_ATTACH", BPF_PROG_ATTACH, attributes);
        const [id] = attachedPrograms(fd, BPF_CGROUP_SOCK_OPS).ids;
        for (const { path } of [outer, inner]) {
          refused(() => addPolicy(path, full), "permission-denied", String(id), outer.path);
          assert.equal(policyOf(path), null);
        }
        assert.deepEqual(attachedPrograms(fd, BPF_CGROUP_SOCK_OPS).ids, [id]);
      } finally {
        closeSync(fd);
      }
    });
});

describe("the life of a policy", { skip: needsRoot }, () => {
  test("it outlives who made it, killed or not, is found by others, and goes when it is removed", async () => {
    await using cgroup = new TestCgroup();
    const script = `
      const { addPolicy } = await import(${JSON.stringify(new URL("host/policy/add.js", builtSource).href)});
      addPolicy(${JSON.stringify(cgroup.path)}, ${JSON.stringify({ ...full, ports: [5_432], remotes: [{ network: "10.0.0.0/8", port: null }] })});
      process.kill(process.pid, "SIGKILL");`;
    const maker = spawn(process.execPath, ["--input-type=module", "--eval", script], { stdio: "inherit" });
    const { pid } = maker;
    assert.deepEqual(await once(maker, "exit"), [null, "SIGKILL"]);
    const policy = listPolicies().find((one) => one.cgroup === cgroup.path);
    assert.ok(policy);
    assert.equal(policy.owner.pid, pid);
    assert.equal(policy.owner.command, "add");
    assert.equal(policy.owner.uid, 0);
    assert.ok(Math.abs(Date.now() - Date.parse(policy.at)) < 60_000);
    assert.deepEqual(policy.settings, full.settings);
    assert.deepEqual(policy.ports, [5_432]);
    assert.deepEqual(policy.remotes, [{ network: "10.0.0.0/8", port: null }]);
    assert.equal(removePolicy(policy), true);
    assert.equal(removePolicy(policy), false);
    assert.equal(policyOf(cgroup.path), null);
    await inside(cgroup, async (python) => {
      assert.deepEqual(await python.ask("connect()"), [untouched, untouched]);
    });
  });

  test("connections keep their settings when it is removed, and are the program's again", async () => {
    await using cgroup = new TestCgroup();
    const { policy } = addPolicy(cgroup.path, full);
    await inside(cgroup, async (python) => {
      await python.ask("connect()");
      removePolicy(policy);
      assert.deepEqual(await python.options(), [whole, whole]);
      assert.deepEqual(await python.ask("setting(kept[0], 6, 4, 5)"), [1, 5, 10, 3, 90_000]);
    });
  });

  test("a second one is refused, or takes its place", async () => {
    await using cgroup = new TestCgroup();
    const first = addPolicy(cgroup.path, full).policy;
    refused(() => addPolicy(cgroup.path, full), "policy-exists", String(first.id), "--replace");
    assert.equal(policyOf(cgroup.path)?.id, first.id);
    const { policy, replaced } = addPolicy(
      cgroup.path,
      { settings: { userTimeoutMs: 5_000 } },
      { replace: true },
    );
    assert.deepEqual(
      replaced.map(({ id }) => id),
      [first.id],
    );
    assert.equal(policyOf(cgroup.path)?.id, policy.id);
    await inside(cgroup, async (python) => {
      const set = [0, 7_200, 75, 9, 5_000];
      assert.deepEqual(await python.ask("connect()"), [set, set]);
    });
  });

  test("killed between its two attachments it is listed as what it is, works as far as it goes, and can be removed", async () => {
    await using cgroup = new TestCgroup();
    // As addPolicy does, up to there.
    const script = `
      const { withCgroup } = await import(${urlOf("host/policy/cgroup.js")});
      const { attachNew } = await import(${urlOf("host/policy/attach.js")});
      const { establishedProgram } = await import(${urlOf("host/policy/established.js")});
      const { encodeRecord, policyNames } = await import(${urlOf("host/policy/record.js")});
      const { createValue, writeValue } = await import(${urlOf("kernel/bpf/maps.js")});
      const request = ${JSON.stringify({ onlyUnset: false, ports: [], remotes: [], ...full })};
      const owner = { command: "add", pid: process.pid, startTicks: 0, pidNamespace: 0, uid: 0 };
      withCgroup(${JSON.stringify(cgroup.path)}, (open) => {
        const value = encodeRecord({ ...request, at: new Date().toISOString(), owner });
        const map = createValue(policyNames.map, value.length);
        writeValue(map, value);
        const code = establishedProgram(request, map.fd);
        const source = { name: policyNames.established, type: ${BPF_PROG_TYPE_SOCK_OPS}, code };
        attachNew(open, ${BPF_CGROUP_SOCK_OPS}, source);
        process.kill(process.pid, "SIGKILL");
      });`;
    const maker = spawn(process.execPath, ["--input-type=module", "--eval", script], { stdio: "inherit" });
    assert.deepEqual(await once(maker, "exit"), [null, "SIGKILL"]);
    const policy = listPolicies().find((one) => one.cgroup === cgroup.path);
    assert.ok(policy);
    assert.equal(policy.holdsLater, false);
    assert.equal(policy.programs.later, null);
    await inside(cgroup, async (python) => {
      assert.deepEqual(await python.ask("connect()"), [whole, whole]);
      assert.deepEqual(await python.ask("setting(kept[-1], 6, 4, 5)"), [1, 5, 10, 3, 90_000]);
    });
    refused(() => addPolicy(cgroup.path, full), "policy-exists");
    // Put in its place, another is complete.
    const { policy: another, replaced } = addPolicy(cgroup.path, full, { replace: true });
    assert.deepEqual([another.holdsLater, replaced.map(({ id }) => id)], [true, [policy.id]]);
    assert.equal(removePolicy(another), true);
    assert.equal(policyOf(cgroup.path), null);
  });

  test("connections on which the kernel refuses a setting are counted as failed, with the reason", async () => {
    await using cgroup = new TestCgroup();
    const request = { onlyUnset: false, ports: [], remotes: [], ...full };
    const owner = { command: "add", pid: 1, startTicks: 0, pidNamespace: 0, uid: 0 } as const;
    withCgroup(cgroup.path, (open) => {
      const value = encodeRecord({ ...request, at: new Date().toISOString(), owner });
      using map = createValue(policyNames.map, value.length);
      writeValue(map, value);
      const code = establishedProgram(request, map.fd);
      // An idle time that checkRequest lets nobody ask for, because the kernel refuses it.
      const idle = code.indexOf(Buffer.from("3c000000", "hex"));
      assert.equal(code[idle - 4], 0x62, "the immediate of a store");
      code.writeInt32LE(40_000, idle);
      attachNew(open, BPF_CGROUP_SOCK_OPS, {
        name: policyNames.established,
        type: BPF_PROG_TYPE_SOCK_OPS,
        code,
      });
    });
    await inside(cgroup, async (python) => {
      // The rest is set all the same.
      const rest = [1, 7_200, 10, 3, 90_000];
      assert.deepEqual(await python.ask("connect()"), [rest, rest]);
    });
    const policy = policyOf(cgroup.path);
    assert.ok(policy);
    assert.deepEqual(policy.counters, { touched: 0, leftAlone: 0, failed: 2, held: 0 });
    assert.equal(policy.lastError, "EINVAL");
    assert.equal(removePolicy(policy), true);
  });

  test("of several that add at the same time one does", async () => {
    await using cgroup = new TestCgroup();
    const add = new URL("host/policy/add.js", builtSource).href;
    const script = `
      const { addPolicy } = await import(${JSON.stringify(add)});
      process.stdout.write("ready");
      process.stdin.once("data", () => {
        try { process.stdout.write(" " + addPolicy(${JSON.stringify(cgroup.path)}, ${JSON.stringify(full)}).policy.id); }
        catch (error) { process.stdout.write(" " + error.code); }
        process.exit();
      });`;
    const racers = Array.from({ length: 6 }, () =>
      spawn(process.execPath, ["--input-type=module", "--eval", script], {
        stdio: ["pipe", "pipe", "inherit"],
      }),
    );
    const said = racers.map(async (racer) => {
      let text = "";
      for await (const chunk of racer.stdout.setEncoding("utf8")) text += String(chunk);
      return text;
    });
    await Promise.all(racers.map(async ({ stdout }) => await once(stdout, "readable")));
    for (const { stdin } of racers) stdin.write("go");
    const outcomes = (await Promise.all(said)).map((text) => text.replace("ready ", ""));
    const added = outcomes.filter((outcome) => outcome !== "policy-exists");
    assert.equal(added.length, 1, outcomes.join());
    assert.equal(policyOf(cgroup.path)?.id, Number(added[0]));
    assert.equal(listPolicies().filter((one) => one.cgroup === cgroup.path).length, 1);
  });

  test("a cgroup that is not there, or no longer", async () => {
    refused(() => addPolicy("/deadpeer-none", full), "no-cgroup", "/deadpeer-none");
    refused(() => addPolicy("/../../etc", full), "no-cgroup");
    refused(() => policyOf("/deadpeer-none"), "no-cgroup");
    const passing = new TestCgroup();
    withCgroup(passing.path, (open) => {
      rmdirSync(passing.directory);
      assert.deepEqual(policiesOf(open), []);
      const code = new Assembler().setImmediate(0, 1).exit().assemble();
      const source = { name: "passing", type: BPF_PROG_TYPE_SOCK_OPS, code };
      refused(() => attachNew(open, BPF_CGROUP_SOCK_OPS, source), "no-cgroup", passing.path);
    });
    let policy: Policy;
    {
      await using cgroup = new TestCgroup();
      ({ policy } = addPolicy(cgroup.path, full));
    }
    assert.equal(removePolicy(policy), false);
    assert.equal(
      listPolicies().some(({ id }) => id === policy.id),
      false,
    );
  });

  test("cgroups that come and go do not disturb the list", async () => {
    await using cgroup = new TestCgroup();
    const { policy } = addPolicy(cgroup.path, full);
    const churn = spawn("sh", [
      "-c",
      `while :; do mkdir ${cgroup.directory}/x; rmdir ${cgroup.directory}/x; done`,
    ]);
    try {
      for (let round = 0; round < 200; round++) assert.ok(listPolicies().some(({ id }) => id === policy.id));
    } finally {
      churn.kill("SIGKILL");
      await once(churn, "exit");
      spawnSync("rmdir", [`${cgroup.directory}/x`], { stdio: "ignore" });
    }
  });

  test("nothing to set is refused", () => {
    refused(() => addPolicy("/", { settings: {} }), "bad-option", "at least one setting");
    refused(() => addPolicy("/", { settings: { keepalive: { idleMs: 1e9 } } }), "value-refused");
  });

  test("what a policy came too late for gets its settings as well, filters and onlyUnset included", async () => {
    await using cgroup = new TestCgroup();
    await inside(cgroup, async (python) => {
      const port = Number(await python.ask('listener(S.AF_INET, "127.0.0.1")'));
      await python.ask(`connect(S.AF_INET, "127.0.0.1", ${port}, (1, 9, 1))`);
      await python.ask("connect()");
      const { policy } = addPolicy(cgroup.path, { ...full, ports: [port], onlyUnset: true });
      assert.deepEqual(await python.options(), [[1, 7_200, 75, 9, 0], untouched, untouched, untouched]);
      const dry = await applyToExisting(policy, { dryRun: true });
      assert.equal(dry.connections.length, 2);
      assert.deepEqual((await python.options())[1], untouched);
      const { connections, run } = await applyToExisting(policy);
      assert.ok(run !== null);
      assert.deepEqual(
        connections.map(({ outcome }) => outcome),
        ["changed", "changed"],
      );
      assert.deepEqual(await python.options(), [[1, 7_200, 75, 9, 90_000], whole, untouched, untouched]);
      // It stands in the machine's own journal, and leads back as every run does.
      await undoRepair({ run });
      assert.deepEqual(await python.options(), [[1, 7_200, 75, 9, 0], untouched, untouched, untouched]);
    });
  });

  test("it does so with those that have long been silent, and they can be put back while it holds", async () => {
    await using cgroup = new TestCgroup();
    await inside(cgroup, async (python) => {
      await python.ask("connect()");
      const settings = { keepalive: { idleMs: 1_000, intervalMs: 1_000, count: 3 }, userTimeoutMs: 2_500 };
      const { policy } = addPolicy(cgroup.path, { settings });
      // Silence is what is needed here: longer than the first probe's time, so that the two steps are taken.
      await sleep(1_100);
      const { connections, run } = await applyToExisting(policy);
      assert.deepEqual(
        connections.map(({ outcome, reason }) => [outcome, reason]),
        [
          ["changed", null],
          ["changed", null],
        ],
      );
      assert.deepEqual(await python.options(), times(2, [1, 1, 1, 3, 2_500]));
      assert.ok(run);
      const undone = await undoRepair({ run });
      assert.deepEqual(
        undone?.sockets.map(({ outcome }) => outcome),
        ["restored", "restored"],
      );
      assert.deepEqual(await python.options(), [untouched, untouched]);
      assert.equal(counters(cgroup)?.held, 0);
    });
  });
});

/** What became of the connecting and the accepted end. */
async function fits(
  filters: (port: number) => Pick<PolicyRequest, "ports"> & { remote?: readonly string[] },
  family = "S.AF_INET",
  address = "127.0.0.1",
  listensOn = family,
): Promise<[boolean, boolean]> {
  await using cgroup = new TestCgroup();
  return await inside(cgroup, async (python) => {
    const bound = listensOn === family ? address : address.replace("::ffff:", "");
    const port = Number(await python.ask(`listener(${listensOn}, "${bound}")`));
    const { remote = [], ports = [] } = filters(port);
    addPolicy(cgroup.path, { ...full, ports, remotes: remote.map((text) => parseEndpoint(text, "")) });
    const ends = (await python.ask(`connect(${family}, "${address}", ${port})`)) as number[][];
    const got = ends.map(([enabled]) => enabled === 1);
    const touched = got.filter(Boolean).length;
    assert.deepEqual(counters(cgroup), { touched, leftAlone: 0, failed: 0, held: 0 });
    // What does not fit is not held either.
    await python.ask("[s.setsockopt(6, 4, 5) for s in kept]");
    assert.deepEqual(
      await python.ask("[s.getsockopt(6, 4) for s in kept]"),
      got.map((one) => (one ? 60 : 5)),
    );
    return [got[0] ?? false, got[1] ?? false];
  });
}

/** One that does nothing. */
function otherProgram(name: string): OwnedFd {
  const code = new Assembler().setImmediate(0, 1).exit().assemble();
  return loadProgram({ name, type: BPF_PROG_TYPE_SOCK_OPS, code });
}
