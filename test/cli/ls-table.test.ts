import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { report } from "../../src/cli/ls-report.js";
import { shortDuration } from "../../src/cli/ls-cells.js";
import { connectionTable } from "../../src/cli/ls-table.js";
import type { Connection } from "../../src/host/connection.js";
import { madeConnection, protectedConnection } from "../host/made.js";
import { checkout } from "../support/checkout.js";

const snapshot = `${checkout}test/cli/ls-table.txt`;

/** A host as one finds it: a pool of database connections, clients, and one of everything that goes wrong. */
const host: readonly Connection[] = [
  ...Array.from({ length: 12 }, (_, index) =>
    madeConnection({
      cookie: `pool-${index}`,
      local: { address: "10.0.0.1", port: 40_000 + index },
      processes: [{ pid: 812 + index, name: "postgres", fd: 9 }],
      lastHeardMs: 1_000 * index,
    }),
  ),
  ...Array.from({ length: 3 }, (_, index) =>
    protectedConnection({
      cookie: `client-${index}`,
      local: { address: "10.0.0.1", port: 443 },
      remote: { address: `10.9.0.${index}`, port: 51_000 + index },
      processes: [
        { pid: 700, name: "nginx", fd: 5 },
        { pid: 701, name: "nginx", fd: 5 },
      ],
    }),
  ),
  madeConnection({
    family: 6,
    local: { address: "2001:db8:85a3:1111:2222:8a2e:370:7334", port: 50_000 },
    remote: { address: "2001:db8:85a3:4444:5555:8a2e:370:9999", port: 6_379 },
    processes: [{ pid: 31_337, name: "a-very-long-nam", fd: 3 }],
    state: "CLOSE_WAIT",
    lastHeardMs: 7_260_000,
    findings: [{ code: "close-wait-stuck", message: "" }, ...madeConnection().findings],
  }),
  madeConnection({
    regime: "zero-window",
    processes: [{ pid: 900, name: "evil\u001B[2J", fd: 3 }],
    findings: [{ code: "zero-window", message: "" }],
    keepalive: { enabled: true, idleMs: 7_200_000, intervalMs: 75_000, count: 9 },
    detection: {
      ...protectedConnection().detection,
      idleMs: 7_875_000,
      sendingMs: 924_600,
      zeroWindowMs: null,
    },
  }),
  madeConnection({ settingsFrom: "timer", keepalive: null, userTimeoutMs: null, processes: [], uid: 33 }),
  madeConnection({ settingsFrom: "unknown", keepalive: null, userTimeoutMs: null, findings: [] }),
  madeConnection({
    state: "TIME_WAIT",
    regime: "closing",
    inode: 0,
    processes: [],
    settingsFrom: "unknown",
    lastHeardMs: null,
    findings: [],
    detection: {
      idleMs: 41_000,
      sendingMs: 41_000,
      zeroWindowMs: 41_000,
      nowMs: 41_000,
      worstMs: 41_000,
      deadPeerMs: 41_000,
    },
  }),
];

function printed(width: number): string {
  const terminal = { width, colour: false };
  const sight = {
    considered: host.length,
    matched: host.length,
    unread: 0,
    unreadBecause: null,
    unseenNamespaces: 0,
    hidingProcesses: 0,
    interrupted: false,
  };
  return report({ connections: [...host], sight }, { group: true }, { text: terminal, table: terminal });
}

describe("the table", () => {
  /** To accept a change on purpose: UPDATE_SNAPSHOTS=1 npm test -- cli/ls-table */
  test("at 80, 120 and 160 columns is what was agreed on", () => {
    const text = [80, 120, 160].map((width) => `--- ${width} columns\n${printed(width)}`).join("\n");
    if (process.env["UPDATE_SNAPSHOTS"] === "1") writeFileSync(snapshot, text);
    assert.equal(text, readFileSync(snapshot, "utf8"));
  });

  test("fits every terminal", () => {
    for (let width = 60; width <= 200; width++)
      for (const line of printed(width).split("\n"))
        assert(line.length <= width, `${line.length} columns of ${width}: ${line}`);
  });

  test("where nothing must give way every character is there", () => {
    const text = connectionTable(
      { width: Number.POSITIVE_INFINITY, colour: false },
      { connections: host, group: false },
    );
    assert.equal(text.split("\n").length, host.length + 1);
    assert(
      text.includes(
        "[2001:db8:85a3:1111:2222:8a2e:370:7334]:50000 → [2001:db8:85a3:4444:5555:8a2e:370:9999]:6379",
      ),
    );
    assert(!text.includes("…"));
  });

  test("a narrow one keeps the peer's port", () => assert.match(printed(80), /…\S*\]:6379/));

  test("a program's name cannot move the cursor", () => assert(!printed(80).includes("\u001B")));

  test("colour only where it is wanted", () => {
    const options = { connections: host, group: true };
    assert(connectionTable({ width: 80, colour: true }, options).includes("\u001B[31mnever"));
    assert(!connectionTable({ width: 80, colour: false }, options).includes("\u001B"));
  });

  test("rows that do not fit are counted, and the worst are shown", () => {
    const text = connectionTable({ width: 80, colour: false }, { connections: host, group: false, lines: 4 });
    const lines = text.split("\n");
    assert.equal(lines.length, 1 + 4 + 1);
    assert.equal(lines.at(-1), `… and ${host.length - 2} more rows`);
  });
});

test("durations in columns take six characters at most", () => {
  const cases: readonly [number | null, string][] = [
    [null, "never"],
    [0, "0ms"],
    [316, "316ms"],
    [999.6, "1s"],
    [3_400, "3s"],
    [59_600, "1m"],
    [90_000, "1m30s"],
    [924_600, "15m25s"],
    [3_599_600, "1h"],
    [7_875_000, "2h11m"],
    [86_399_999, "1d"],
    [432_000_000, "5d"],
  ];
  for (const [ms, text] of cases) assert.equal(shortDuration(ms), text, String(ms));
});
