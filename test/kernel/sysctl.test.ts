import { newOwnedName } from "../../src/kernel/owned-names.js";
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { DeadpeerError, type ErrorCode } from "../../src/errors.js";
import { inNamespace, type NetworkNamespace, namespaceAt } from "../../src/kernel/namespaces.js";
import { readSysctl, readSystemDefaults, writeSysctl } from "../../src/kernel/sysctl.js";
import { retransmissionTimeoutMs } from "../../src/plan/model.js";
import type { SystemDefaults } from "../../src/plan/settings.js";
import { needsRoot, run, runModule } from "./support.js";

function failsWith(code: ErrorCode, message: RegExp) {
  return (error: unknown): boolean =>
    error instanceof DeadpeerError && error.code === code && message.test(error.message);
}

function fromSysctl(name: string): number {
  return Number(run("sysctl", ["-n", `net.ipv4.${name}`]));
}

test("a sysctl reads as sysctl(8) reads it", () => {
  for (const name of ["net.ipv4.tcp_keepalive_time", "net/ipv4/tcp_retries2", "kernel.osrelease"])
    assert.equal(readSysctl(name), run("sysctl", ["-n", name]).trim());
});

test("the system's defaults, in the planner's units and shape", () => {
  const system: SystemDefaults = readSystemDefaults();
  assert.deepEqual(system.keepalive, {
    idleMs: fromSysctl("tcp_keepalive_time") * 1_000,
    intervalMs: fromSysctl("tcp_keepalive_intvl") * 1_000,
    count: fromSysctl("tcp_keepalive_probes"),
  });
  assert.equal(system.retries2, fromSysctl("tcp_retries2"));
  assert.equal(system.synRetries, fromSysctl("tcp_syn_retries"));
  const linear = existsSync("/proc/sys/net/ipv4/tcp_syn_linear_timeouts");
  assert.equal(system.synLinearTimeouts, linear ? fromSysctl("tcp_syn_linear_timeouts") : 0);
  const rtoMax = existsSync("/proc/sys/net/ipv4/tcp_rto_max_ms");
  assert.equal(system.rtoMaxMs, rtoMax ? fromSysctl("tcp_rto_max_ms") : 120_000);
  assert.equal(system.rtoMinMs, 200);
});

test("a sysctl that does not exist", () => {
  assert.throws(
    () => readSysctl("net.ipv4.tcp_nonsense"),
    failsWith("feature-missing", /no sysctl net.ipv4.tcp_nonsense/),
  );
  assert.throws(() => writeSysctl("net.ipv4.tcp_nonsense", 1), failsWith("feature-missing", /tcp_nonsense/));
  assert.equal(existsSync("/proc/sys/net/ipv4/tcp_nonsense"), false);
});

test("what is not the name of a sysctl never reaches the file system", () => {
  for (const name of [
    "",
    ".",
    "..",
    "net..ipv4",
    "../../etc/passwd",
    "/etc/passwd",
    "net/../../../etc/passwd",
    "net ipv4",
    "net.ipv4\n",
  ])
    assert.throws(() => readSysctl(name), failsWith("bad-option", /is not the name of a sysctl/), name);
});

describe("in a namespace of its own", { skip: needsRoot }, () => {
  const name = `${newOwnedName("lab")}-sysctl`;
  let namespace: NetworkNamespace;
  before(() => {
    run("ip", ["netns", "add", name]);
    // A name with a dot of its own needs the slashes.
    run("ip", ["-n", name, "link", "add", "dp0.7", "type", "veth"]);
    namespace = namespaceAt(name);
  });
  after(() => {
    run("ip", ["netns", "del", name]);
  });

  function write(sysctl: string, value: string | number): void {
    inNamespace(namespace, () => writeSysctl(sysctl, value));
  }

  test("what is written is held, there alone", () => {
    const before = readSystemDefaults();
    const inside = inNamespace(namespace, () => {
      writeSysctl("net.ipv4.tcp_keepalive_time", 61);
      writeSysctl("net.ipv4.tcp_keepalive_intvl", "11");
      writeSysctl("net.ipv4.tcp_keepalive_probes", " 4\n");
      writeSysctl("net.ipv4.ip_local_port_range", "20000 30000");
      return readSystemDefaults();
    });
    assert.deepEqual(inside.keepalive, { idleMs: 61_000, intervalMs: 11_000, count: 4 });
    assert.deepEqual(readSystemDefaults(), before);
  });

  test("a part with a dot of its own", () => {
    inNamespace(namespace, () => writeSysctl("net/ipv4/conf/dp0.7/forwarding", 1));
    assert.equal(
      inNamespace(namespace, () => readSysctl("net/ipv4/conf/dp0.7/forwarding")),
      "1",
    );
  });

  test("values the kernel refuses or changes", () => {
    assert.throws(
      () => write("net.ipv4.tcp_keepalive_probes", 300),
      failsWith("value-refused", /tcp_keepalive_probes: .*"300"/),
    );
    assert.throws(
      () => write("net.ipv4.tcp_retries2", "many"),
      failsWith("value-refused", /tcp_retries2: .*"many"/),
    );
    // The kernel reads the first number and ignores the rest.
    assert.throws(
      () => write("net.ipv4.tcp_keepalive_time", "60 70"),
      failsWith("value-refused", /asked for 60 70, but the kernel holds 60/),
    );
  });

  test("tcp_rto_min_us does not shorten what tcp_retries2 allows, so the defaults name the constant", () => {
    const script = `
import socket, subprocess, time
listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
client = socket.create_connection(("127.0.0.1", port))
rules = f"table ip t {{ chain c {{ type filter hook input priority 0; tcp dport {port} drop; }}\\n}}"
subprocess.run(["nft", rules], check=True)
start = time.monotonic()
client.send(b"x")
try: client.recv(1)
except TimeoutError: print(time.monotonic() - start)
`;
    run("ip", ["-n", name, "link", "set", "lo", "up"]);
    const system = inNamespace(namespace, () => {
      // Linux 6.11.
      if (existsSync("/proc/sys/net/ipv4/tcp_rto_min_us")) writeSysctl("net.ipv4.tcp_rto_min_us", 5_000);
      writeSysctl("net.ipv4.tcp_retries2", 2);
      return readSystemDefaults();
    });
    const seconds = Number(run("ip", ["netns", "exec", name, "python3", "-c", script]));
    const expectedMs = retransmissionTimeoutMs(system.retries2, system.rtoMinMs, system.rtoMaxMs);
    assert.equal(expectedMs, 1_400);
    // From 5 ms it would be 35 ms.
    assert.ok(seconds * 1_000 >= expectedMs, `${seconds} s`);
  });

  test("without privilege", () => {
    const { stdout, stderr } = runModule(
      `const { writeSysctl } = await import(src + "kernel/sysctl.js");
       process.setuid(65534);
       try { writeSysctl("net.ipv4.tcp_retries2", 15); } catch (error) { console.log(error.code, error.errno, error.message); }`,
      ["unshare", "--net"],
    );
    assert.match(stdout, /^permission-denied EACCES .*CAP_NET_ADMIN/, stderr);
  });

  test("where /proc/sys is mounted read-only", () => {
    const { stdout, stderr } = runModule(
      `const { writeSysctl } = await import(src + "kernel/sysctl.js");
       try { writeSysctl("net.ipv4.tcp_retries2", 15); } catch (error) { console.log(error.code, error.errno, error.message); }`,
      [
        "unshare",
        "--net",
        "--mount",
        "sh",
        "-c",
        'mount --bind -o ro /proc/sys /proc/sys && exec "$@"',
        "sh",
      ],
    );
    assert.match(stdout, /^permission-denied EROFS .*read-only/, stderr);
  });
});
