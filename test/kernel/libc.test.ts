import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { after, before, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { DeadpeerError } from "../../src/errors.js";
import { OwnedFd } from "../../src/kernel/fd.js";
import { check, libc, libcProblem, syscallError } from "../../src/kernel/libc.js";
import { builtSource, runModule, tcpSocket } from "./support.js";

test("check passes results through and names the call and the errno of a failure", () => {
  assert.equal(libcProblem(), null);
  assert.equal(check(0, "nothing"), 0);
  assert.equal(check(7, "nothing"), 7);
  assert.throws(
    () => check(libc().close(-1), "close"),
    (error: unknown) =>
      error instanceof DeadpeerError &&
      error.code === "syscall-failed" &&
      error.operation === "close" &&
      error.errno === "EBADF" &&
      error.message === "close: bad file descriptor (EBADF)",
  );
});

test("an errno left over from an earlier failure is not looked at", () => {
  assert.equal(libc().close(-1), -1);
  using socket = tcpSocket(4);
  assert.equal(check(libc().setsockopt(socket.fd, 1, 9, Buffer.from([1, 0, 0, 0]), 4), "setsockopt"), 0);
});

test("a missing privilege has a code of its own", () => {
  assert.equal(syscallError(1, "setns").code, "permission-denied");
  assert.equal(syscallError(13, "open").code, "permission-denied");
  assert.equal(syscallError(22, "bind").code, "syscall-failed");
});

test("a descriptor is closed once, by hand or at the end of the block", () => {
  let number: number;
  {
    using socket = tcpSocket(6);
    number = socket.fd;
    assert.ok(number > 2);
  }
  assert.throws(() => check(libc().close(number), "close"), /EBADF/);
  const owned = new OwnedFd(tcpSocket(4).fd);
  owned.close();
  assert.equal(owned.fd, -1);
  owned.close();
});

const askEverything = `
const calls = {
  "socket-options": (m) => m.readSettings(0),
  "tcp-info": (m) => m.readTcpInfo(0),
  "sock-diag": (m) => m.listSockets(),
};
for (const [file, call] of Object.entries(calls)) {
  const module = await import(src + "kernel/" + file + ".js");
  try { call(module); console.log(file, "worked"); } catch (error) { console.log(file, error.code, error.message); }
}
const { hasFeature } = await import(src + "kernel/features.js");
console.log("feature", hasFeature("rto-max"));
const { detectionTimes } = await import(src + "plan/model.js");
console.log("plan", detectionTimes({ keepalive: { idleMs: 7_200_000, intervalMs: 75_000, count: 9 }, userTimeoutMs: 0 }).idleMs);
const { decodeTcpInfo } = await import(src + "kernel/tcp-info.js");
console.log("decode", decodeTcpInfo(Buffer.from([10])).state);
`;

/** What still works where system calls cannot be made, and how the rest says so. */
function assertRefused(stdout: string, code: string, message: RegExp): void {
  const lines = stdout.trim().split("\n");
  assert.equal(lines.length, 6, stdout);
  for (const line of lines.slice(0, 3)) {
    assert.match(line, new RegExp(`^[a-z-]+ ${code} `));
    assert.match(line, message);
  }
  assert.deepEqual(lines.slice(3), ["feature unknown", "plan 7875000", "decode LISTEN"]);
}

describe("without koffi", () => {
  let directory: string;
  before(() => {
    directory = mkdtempSync(`${tmpdir()}/dp-test-`);
    cpSync(builtSource, `${directory}/src`, { recursive: true });
    writeFileSync(`${directory}/package.json`, '{"type":"module"}');
  });
  after(() => rmSync(directory, { recursive: true }));

  test("the kernel's rooms say what to install, planning and decoding go on", () => {
    const src = pathToFileURL(`${directory}/src/`).href;
    const { stdout, stderr } = runModule(askEverything, ["env", "-u", "NODE_PATH"], src);
    assert.equal(stderr, "");
    assertRefused(stdout, "ffi-unavailable", /koffi.*npm install koffi$/);
  });
});

function pretend(property: "platform" | "arch", value: string): string {
  return `Object.defineProperty(process, ${JSON.stringify(property)}, { value: ${JSON.stringify(value)} });\n`;
}

describe("elsewhere", () => {
  for (const [property, value, message] of [
    ["platform", "darwin", /on darwin deadpeer can plan/],
    ["platform", "win32", /on win32 deadpeer can plan/],
    ["arch", "riscv64", /x64 or arm64.*this is riscv64$/],
  ] as const)
    test(`on ${value} every module can be loaded, and what cannot work says so when it is used`, () => {
      const modules = readdirSync(new URL("kernel/", builtSource)).filter((name) => name.endsWith(".js"));
      const loadAll = modules.map((name) => `await import(src + "kernel/${name}");`).join("\n");
      const { stdout, stderr } = runModule(pretend(property, value) + loadAll + askEverything);
      assert.equal(stderr, "");
      assertRefused(stdout, "platform-unsupported", message);
    });

  test("files of /proc are not looked for where there are none", () => {
    const { stdout, stderr } = runModule(`${pretend("platform", "darwin")}
for (const [file, call] of Object.entries({
  sysctl: (m) => m.readSystemDefaults(),
  version: (m) => m.kernelVersion(),
  namespaces: (m) => m.currentNamespace(),
})) {
  const module = await import(src + "kernel/" + file + ".js");
  try { call(module); console.log(file, "worked"); } catch (error) { console.log(file, error.code); }
}`);
    assert.equal(stderr, "");
    assert.deepEqual(stdout.trim().split("\n"), [
      "sysctl platform-unsupported",
      "version platform-unsupported",
      "namespaces platform-unsupported",
    ]);
  });
});
