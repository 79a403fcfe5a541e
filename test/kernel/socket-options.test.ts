import assert from "node:assert/strict";
import { closeSync, fstatSync, openSync } from "node:fs";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { DeadpeerError } from "../../src/errors.js";
import { OwnedFd } from "../../src/kernel/fd.js";
import { hasFeature } from "../../src/kernel/features.js";
import { check, lastErrno, libc } from "../../src/kernel/libc.js";
import {
  readSettings,
  type SocketSettingsChange,
  switchProbesOff,
  writeSettings,
} from "../../src/kernel/socket-options.js";
import { listSockets } from "../../src/kernel/sock-diag.js";
import { readSystemDefaults } from "../../src/kernel/sysctl.js";
import { readTcpInfo } from "../../src/kernel/tcp-info.js";
import { linuxLimits } from "../../src/plan/settings.js";
import { loopbackConnection, pythonOnSocket, tcpSocket } from "./support.js";

const oracle = `
import json, socket
s = socket.socket(fileno=3)
t = socket.IPPROTO_TCP
print(json.dumps([s.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), s.getsockopt(t, socket.TCP_KEEPIDLE),
  s.getsockopt(t, socket.TCP_KEEPINTVL), s.getsockopt(t, socket.TCP_KEEPCNT), s.getsockopt(t, socket.TCP_USER_TIMEOUT)]))
`;

const sixty = { idleMs: 60_000, intervalMs: 10_000, count: 3 };
const hasRtoMax = hasFeature("rto-max") === "yes";

const noSocket = (message: RegExp) => (error: unknown) =>
  error instanceof DeadpeerError && error.code === "no-socket" && message.test(error.message);

const within = (limits: { min: number; max: number }, unit: number): fc.Arbitrary<number> =>
  fc.integer({ min: limits.min / unit, max: limits.max / unit }).map((units) => units * unit);

for (const family of [4, 6] as const)
  describe(`an IPv${family} socket`, () => {
    test("starts with the system's defaults and keepalive off", () => {
      using socket = tcpSocket(family);
      const system = readSystemDefaults();
      assert.deepEqual(readSettings(socket.fd), {
        keepalive: { enabled: false, ...system.keepalive },
        userTimeoutMs: 0,
        rtoMaxMs: hasRtoMax ? system.rtoMaxMs : null,
      });
    });

    test("has its probes switched off alone; a descriptor that is closed is left alone", () => {
      using socket = tcpSocket(family);
      writeSettings(socket.fd, { keepalive: sixty, userTimeoutMs: 90_000 });
      switchProbesOff(socket.fd);
      switchProbesOff(-1);
      const { keepalive, userTimeoutMs } = readSettings(socket.fd);
      assert.deepEqual(keepalive, { enabled: false, ...sixty });
      assert.equal(userTimeoutMs, 90_000);
    });

    test("holds what was written, as python3 reads it too", () => {
      using socket = tcpSocket(family);
      writeSettings(socket.fd, { keepalive: sixty, userTimeoutMs: 90_000 });
      const { keepalive, userTimeoutMs } = readSettings(socket.fd);
      assert.deepEqual(keepalive, { enabled: true, ...sixty });
      assert.equal(userTimeoutMs, 90_000);
      assert.deepEqual(pythonOnSocket(socket.fd, oracle), [1, 60, 10, 3, 90_000]);
    });

    test("shows what python3 wrote", () => {
      using socket = tcpSocket(family);
      pythonOnSocket(
        socket.fd,
        `import socket
s = socket.socket(fileno=3)
for level, option, value in ((1, 9, 1), (6, 4, 11), (6, 5, 12), (6, 6, 13), (6, 18, 14)): s.setsockopt(level, option, value)
print(0)`,
      );
      const { keepalive, userTimeoutMs } = readSettings(socket.fd);
      assert.deepEqual(keepalive, { enabled: true, idleMs: 11_000, intervalMs: 12_000, count: 13 });
      assert.equal(userTimeoutMs, 14);
    });
  });

test("keepalive: null switches it off and leaves its times; what is left out stays", () => {
  using socket = tcpSocket(4);
  writeSettings(socket.fd, { keepalive: sixty, userTimeoutMs: 7_000 });
  writeSettings(socket.fd, { keepalive: null });
  const off = readSettings(socket.fd);
  assert.deepEqual(off.keepalive, { enabled: false, ...sixty });
  assert.equal(off.userTimeoutMs, 7_000);
  writeSettings(socket.fd, { userTimeoutMs: 0 });
  assert.deepEqual(readSettings(socket.fd), { ...off, userTimeoutMs: 0 });
});

test("times can be given to a socket while keepalive is off", () => {
  using socket = tcpSocket(4);
  writeSettings(socket.fd, { keepalive: { ...sixty, enabled: false } });
  assert.deepEqual(readSettings(socket.fd).keepalive, { enabled: false, ...sixty });
  writeSettings(socket.fd, { keepalive: {} });
  writeSettings(socket.fd, { keepalive: { count: 5, enabled: false } });
  assert.deepEqual(readSettings(socket.fd).keepalive, { enabled: false, ...sixty, count: 5 });
});

test("the longest retransmission timeout can be limited", { skip: !hasRtoMax && "Linux 6.15" }, () => {
  using socket = tcpSocket(4);
  writeSettings(socket.fd, { rtoMaxMs: 5_000 });
  assert.equal(readSettings(socket.fd).rtoMaxMs, 5_000);
  // Kept in jiffies: with HZ=250 the kernel answers 1004.
  writeSettings(socket.fd, { rtoMaxMs: 1_001 });
  const held = readSettings(socket.fd).rtoMaxMs ?? 0;
  assert.ok(held >= 1_001 && held <= 1_010, String(held));
});

describe("refused values", () => {
  const cases: [name: string, change: SocketSettingsChange, message: RegExp][] = [
    ["idle 0", { keepalive: { ...sixty, idleMs: 0 } }, /TCP_KEEPIDLE 0 ms.*1 to 32767 s/],
    ["idle 32768 s", { keepalive: { ...sixty, idleMs: 32_768_000 } }, /TCP_KEEPIDLE 32768000 ms.*32767 s/],
    ["idle 1.5 s", { keepalive: { ...sixty, idleMs: 1_500 } }, /TCP_KEEPIDLE 1500 ms.*whole seconds/],
    ["interval 0", { keepalive: { ...sixty, intervalMs: 0 } }, /TCP_KEEPINTVL 0 ms.*1 to 32767 s/],
    ["interval 32768 s", { keepalive: { ...sixty, intervalMs: 32_768_000 } }, /TCP_KEEPINTVL/],
    ["count 0", { keepalive: { ...sixty, count: 0 } }, /TCP_KEEPCNT 0 .*1 to 127/],
    ["count 128", { keepalive: { ...sixty, count: 128 } }, /TCP_KEEPCNT 128 .*1 to 127/],
    ["count 2.5", { keepalive: { ...sixty, count: 2.5 } }, /TCP_KEEPCNT 2.5 .*whole numbers/],
    ["user timeout -1", { userTimeoutMs: -1 }, /TCP_USER_TIMEOUT -1 ms.*0 to 2147483647 ms/],
    ["user timeout 2^31", { userTimeoutMs: 2 ** 31 }, /TCP_USER_TIMEOUT 2147483648 ms/],
    ["user timeout NaN", { userTimeoutMs: Number.NaN }, /TCP_USER_TIMEOUT NaN/],
    ["rto max 999", { rtoMaxMs: 999 }, /TCP_RTO_MAX_MS 999 ms.*1000 to 120000 ms/],
    ["rto max 120001", { rtoMaxMs: 120_001 }, /TCP_RTO_MAX_MS 120001 ms/],
  ];
  for (const [name, change, message] of cases)
    test(`${name} is refused before anything is changed`, () => {
      using socket = tcpSocket(4);
      const before = readSettings(socket.fd);
      assert.throws(
        () => writeSettings(socket.fd, { userTimeoutMs: 5_000, ...change }),
        (error: unknown) =>
          error instanceof DeadpeerError && error.code === "value-refused" && message.test(error.message),
      );
      assert.deepEqual(readSettings(socket.fd), before);
    });

  test("the ranges are the kernel's own", () => {
    using socket = tcpSocket(4);
    const value = Buffer.alloc(4);
    const accepts = (option: number, units: number): boolean => {
      value.writeInt32LE(units);
      return libc().setsockopt(socket.fd, 6, option, value, 4) >= 0;
    };
    const ranges: [option: number, min: number, max: number][] = [
      [4, 1, 32_767],
      [5, 1, 32_767],
      [6, 1, 127],
      [18, 0, 2_147_483_647],
      ...(hasRtoMax ? [[44, 1_000, 120_000] as [number, number, number]] : []),
    ];
    for (const [option, min, max] of ranges) {
      assert.ok(accepts(option, min) && accepts(option, max), `option ${option} takes ${min} and ${max}`);
      assert.ok(!accepts(option, min - 1), `option ${option} refuses ${min - 1}`);
      if (max < 2_147_483_647) assert.ok(!accepts(option, max + 1), `option ${option} refuses ${max + 1}`);
    }
  });

  test("whatever the planner may give is held", () => {
    using socket = tcpSocket(6);
    fc.assert(
      fc.property(
        within(linuxLimits.idleMs, 1_000),
        within(linuxLimits.intervalMs, 1_000),
        within(linuxLimits.count, 1),
        within(linuxLimits.userTimeoutMs, 1),
        (idleMs, intervalMs, count, userTimeoutMs) => {
          writeSettings(socket.fd, { keepalive: { idleMs, intervalMs, count }, userTimeoutMs });
          const held = readSettings(socket.fd);
          assert.deepEqual(held.keepalive, { enabled: true, idleMs, intervalMs, count });
          assert.equal(held.userTimeoutMs, userTimeoutMs);
        },
      ),
    );
  });
});

describe("what is no TCP socket", () => {
  test("a closed descriptor", () => {
    const socket = tcpSocket(4);
    const { fd } = socket;
    socket.close();
    for (const call of [readSettings, readTcpInfo, () => writeSettings(fd, { userTimeoutMs: 1 })])
      assert.throws(() => call(fd), noSocket(/already closed/));
  });

  test("a file", () => {
    const fd = openSync("/dev/null", "r");
    try {
      assert.throws(() => readSettings(fd), noSocket(/not a socket/));
    } finally {
      closeSync(fd);
    }
  });

  for (const [name, domain, type] of [
    ["a UDP socket", 2, 2],
    ["a Unix socket", 1, 1],
  ] as const)
    test(name, () => {
      using socket = new OwnedFd(check(libc().socket(domain, type, 0), "socket"));
      assert.throws(() => readSettings(socket.fd), noSocket(/not a (plain )?TCP socket/));
      assert.throws(() => readTcpInfo(socket.fd), noSocket(/not a (plain )?TCP socket/));
      assert.throws(
        () => writeSettings(socket.fd, { userTimeoutMs: 1 }),
        noSocket(/not a (plain )?TCP socket/),
      );
    });
});

test("an MPTCP socket, which answers only some of the options, counts as no TCP socket", (context) => {
  const IPPROTO_MPTCP = 262;
  const fd = libc().socket(2, 1, IPPROTO_MPTCP);
  if (fd < 0) {
    context.skip(`no MPTCP here: errno ${lastErrno()}`);
    return;
  }
  using socket = new OwnedFd(fd);
  assert.throws(() => readSettings(socket.fd), noSocket(/plain TCP socket/));
});

test("a connection already silent for a while is probed after the rest of the idle time", {
  timeout: 20_000,
}, async () => {
  await using connection = await loopbackConnection();
  const silentMs = 1_300;
  while (readTcpInfo(connection.clientFd).lastAckRecvMs < silentMs)
    await new Promise((resolve) => setTimeout(resolve, 50));
  writeSettings(connection.clientFd, { keepalive: { idleMs: 3_000, intervalMs: 1_000, count: 3 } });
  const { ino } = fstatSync(connection.clientFd);
  const shown = listSockets({ states: ["ESTABLISHED"] }).find(({ inode }) => inode === ino);
  assert.equal(shown?.timer.kind, "keepalive");
  const { expiresMs } = shown.timer;
  assert.ok(expiresMs <= 3_000 - silentMs + 10, `the next probe is ${expiresMs} ms away`);
});
