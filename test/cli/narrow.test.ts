import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { cleanupText } from "../../src/cli/cleanup/text.js";
import { gaps } from "../../src/cli/ls-gaps.js";
import { LineWriter } from "../../src/cli/watch/line.js";
import type { Obituary } from "../../src/host/watch/obituary.js";
import { judge } from "../../src/verdict/verdict.js";

const lost: Obituary = {
  at: "2026-01-02T10:51:35.012Z",
  netns: null,
  family: 4,
  local: { address: "10.0.3.7", port: 54_508 },
  remote: { address: "10.0.3.20", port: 5_432 },
  state: "ESTABLISHED",
  direction: "outgoing",
  processes: [{ pid: 2_514, name: "node", fd: 22 }],
  lifetimeMs: 7_875_000,
  lifetimeAtLeast: false,
  bytes: { sent: 14_200_000, received: 3_100_000 },
  keepalive: null,
  userTimeoutMs: 0,
  settingsKnown: true,
  verdict: judge({
    at: 0,
    errno: "ETIMEDOUT",
    lastHeardMs: 33_010,
    timer: "keepalive",
    regime: "idle",
    figures: { state: "CLOSE", retransmits: 0, probes: 7 },
  }),
  source: "trace",
};

const written = (width: number): string => {
  const lines = new LineWriter({ width, colour: false }, false, null);
  return `${lines.titles()}\n${lines.line(lost)}`.replaceAll(/\d\d:\d\d:\d\d/g, "14:22:31");
};

describe("watch on a terminal", () => {
  test("of 80 columns: who and what in a line, and below it why", () =>
    assert.equal(
      written(80),
      `TIME      VERDICT       PROCESS           CONNECTION
14:22:31  silent        node 2514         10.0.3.7:54508 → 10.0.3.20:5432
          The peer answered nothing for 33s: 7 keepalive probes on the idle
          connection went unanswered. (unnoticed for 33s, by keepalive, was
          ESTABLISHED, lived 2h11m, sent 14.2MB, received 3.1MB)`,
    ));

  test("of 78 and more columns: no line is wider", () => {
    for (let width = 78; width <= 190; width++)
      for (const line of written(width).split("\n"))
        assert.ok(line.length <= width, `${line.length} columns of ${width}: ${line}`);
  });

  test("another network namespace is named below", () => {
    const lines = new LineWriter({ width: 80, colour: false }, false, "blue");
    assert.doesNotMatch(lines.line({ ...lost, netns: "blue" }), /blue/);
    const [first = "", ...below] = lines.line({ ...lost, netns: "green" }).split("\n");
    assert.match(first, / 10\.0\.3\.20:5432$/);
    assert.match(below.join("\n"), /received 3\.1MB in green\)$/);
  });

  test("where nothing limits the width, a line each", () => {
    const [titles, line, ...more] = written(Number.POSITIVE_INFINITY).split("\n");
    assert.match(titles ?? "", /^TIME +VERDICT +UNNOTICED +TIMER +PROCESS .* RECEIVED +WHY$/);
    assert.match(line ?? "", / 33s +keepalive +node 2514 .* 2h11m +14\.2MB +3\.1MB +The peer answered/);
    assert.deepEqual(more, []);
  });
});

describe("cleanup on a terminal", () => {
  const found = {
    removed: [],
    kept: [
      {
        what: "policy",
        name: "164 on /system.slice/redis-server.service",
        why: "asked for at 2026-11-25T19:14:48Z",
        undo: "deadpeer policy remove 164",
      },
      { what: "watch", name: "dp-watch-1", why: "its process is in another PID namespace", undo: null },
    ],
    failed: [],
    unseen: [],
  };

  test("of 80 columns: one thing a line, and commands whole", () =>
    assert.equal(
      cleanupText(found, false, { width: 80, colour: false }),
      `Nothing is left over.

Still in force, and kept
  policy  164 on /system.slice/redis-server.service
    asked for at 2026-11-25T19:14:48Z
    to end it: deadpeer policy remove 164
  watch  dp-watch-1
    its process is in another PID namespace
`,
    ));

  test("a line each where it fits", () =>
    assert.match(
      cleanupText(found, false, { width: 160, colour: false }),
      /\n {2}policy {2}164 on \S+ {2}asked for at 2026-11-25T19:14:48Z; to end it: deadpeer policy remove 164\n {2}watch {3}dp-watch-1 +its process/,
    ));
});

describe("what could not be seen", () => {
  const sight = {
    considered: 1,
    matched: 1,
    unread: 0,
    unreadBecause: null,
    unseenNamespaces: 0,
    hidingProcesses: 0,
    interrupted: false,
  };

  test("processes that hide from root too are not put down to a missing privilege", () => {
    const [one = "", ...more] = gaps({ ...sight, hidingProcesses: 1 }, "yes");
    assert.match(one, /^1 process hides its network namespace although this process has CAP_SYS_PTRACE: /);
    assert.doesNotMatch(one, /run as root/);
    assert.deepEqual(more, []);
    const [several = ""] = gaps({ ...sight, hidingProcesses: 3 }, "no");
    assert.match(several, /^3 processes hide their network namespace: .*CAP_SYS_PTRACE, run as root$/);
  });

  test("namespaces and connections are counted as one or several", () => {
    assert.deepEqual(gaps({ ...sight, unseenNamespaces: 1, unread: 1, unreadBecause: "why" }, "no"), [
      "settings of 1 of 1 connection not read: why",
      "1 network namespace not looked into; that needs CAP_SYS_ADMIN, run as root",
    ]);
    assert.match(gaps({ ...sight, unseenNamespaces: 2 }, "no").join(), /^2 network namespaces not/);
  });
});
