import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { describe, test } from "node:test";
import { natJson } from "../../src/cli/nat/json.js";
import { natReport } from "../../src/cli/nat/report.js";
import type { Measured, Server } from "../../src/client/nat/measurement.js";
import { fittingPlan, together } from "../../src/client/nat/search/memory.js";
import type { Bracket } from "../../src/client/nat/search/search.js";
import { DeadpeerError } from "../../src/errors.js";
import { checkout, cli } from "../support/checkout.js";

function deadpeer(...args: string[]) {
  return spawnSync(process.execPath, [cli, ...args], { encoding: "utf8" });
}

const needsLinux = process.platform === "linux" ? false : "needs Linux";

describe("nat refuses in one line", { skip: needsLinux }, () => {
  for (const [args, complaint] of [
    [["localhost:99999"], /^deadpeer: "localhost:99999" has a port that cannot be; /],
    [["a:b"], /^deadpeer: "a:b" is no host and port; write HOST:PORT, or \[IPV6\]:PORT$/m],
    [["localhost", "-4", "-6"], /^deadpeer: --ipv4 and --ipv6 exclude one another/],
    [["::1", "-4"], /^deadpeer: ::1 is an IPv6 address: it cannot be reached over IPv4$/m],
    [["localhost", "--max", "1s"], /^deadpeer: --max 1s is too short; give 2s or more$/m],
    [["localhost", "--max", "10"], /^deadpeer: --max: "10" has no unit/],
    [["localhost", "--precision", "1ms"], /^deadpeer: --precision 1ms is too short/],
    [["localhost", "--connections", "1"], /^deadpeer: --connections 1: 2 to 128 are allowed$/m],
    [["localhost", "--detect", "1s"], /^deadpeer: a dead peer cannot be noticed within 1s; /],
    [["nowhere.invalid"], /^deadpeer: nowhere\.invalid has no address: /],
    [["127.0.0.1:1"], /^deadpeer: 127\.0\.0\.1:1 refuses the connection: /],
  ] as const)
    test(args.join(" "), () => {
      const { status, stdout, stderr } = deadpeer("nat", ...args);
      assert.equal(status, 2, stderr);
      assert.equal(stdout, "");
      assert.match(stderr, complaint);
      assert.equal(stderr.split("\n").length, 2, stderr);
    });

  test("a server that hangs up at once shows nothing", async () => {
    const server = createServer((socket) => socket.destroy()).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const child = spawn(process.execPath, [cli, "nat", `127.0.0.1:${port}`, "--max", "5s"]);
    let [stdout, stderr] = ["", ""];
    child.stdout.on("data", (text: Buffer) => (stdout += text.toString()));
    child.stderr.on("data", (text: Buffer) => (stderr += text.toString()));
    const [status] = (await once(child, "close")) as [number | null];
    server.close();
    assert.equal(status, 3, stderr);
    assert.equal(stdout, "");
    assert.match(stderr, /^deadpeer: the server ended every connection within a second/m);
  });
});

describe("echo", () => {
  test("says where it listens, and ends well when it is told to", async () => {
    const child = spawn(process.execPath, [cli, "echo", "--port", "0", "--listen", "127.0.0.1"]);
    const [said] = (await once(child.stderr, "data")) as [Buffer];
    assert.match(said.toString(), /^deadpeer: listening on 127\.0\.0\.1:\d+; Ctrl-C ends it\n$/);
    child.kill("SIGINT");
    assert.deepEqual(await once(child, "close"), [0, null]);
  });

  test("refuses in one line", () => {
    for (const [args, complaint] of [
      [["--port", "65536"], /is not a port/],
      [["--port", "x"], /is not a whole number/],
      [["--listen", "192.0.2.1"], /is not an address of this machine/],
    ] as const) {
      const { status, stderr } = deadpeer("echo", ...args);
      assert.equal(status, 2);
      assert.match(stderr, complaint);
      assert.equal(stderr.split("\n").length, 2, stderr);
    }
  });
});

const nothing: Bracket = {
  survivedMs: 600_000,
  lostMs: null,
  lossKind: "none",
  unasked: false,
  ceiling: null,
  strayMs: [],
};
const silent: Bracket = { ...nothing, survivedMs: 343_210.5, lostMs: 351_104.2, lossKind: "silent" };
const plain: Server = {
  address: { address: "192.0.2.7", family: 4, port: 5_432 },
  addresses: 1,
  isEcho: false,
  seenAs: null,
  proxied: null,
};
const echo: Server = {
  address: { address: "2001:db8::7", family: 6, port: 7_007 },
  addresses: 2,
  isEcho: true,
  seenAs: { address: "2001:db8::1", port: 40_001 },
  proxied: false,
};
const closed: Bracket = { ...nothing, survivedMs: 60_010, ceiling: { by: "closed", silentMs: 60_010 } };

const measured: Readonly<Record<string, Measured>> = {
  "an echo server behind a NAT": {
    server: echo,
    directions: { client: silent, server: { ...silent, lostMs: 352_000 } },
    problem: null,
  },
  "a firewall that lets this end begin anew": {
    server: { ...echo, seenAs: null },
    directions: { client: nothing, server: silent },
    problem: null,
  },
  "a proxy with a limit of its own": {
    server: { ...echo, proxied: true },
    directions: { client: closed, server: closed },
    problem: null,
  },
  "nothing was lost": { server: plain, directions: { client: nothing, server: null }, problem: null },
  "a server that closes": { server: plain, directions: { client: closed, server: null }, problem: null },
  "a server that speaks by itself": {
    server: plain,
    directions: {
      client: { ...nothing, survivedMs: 299_600, ceiling: { by: "spoken", silentMs: 299_600 } },
      server: null,
    },
    problem: null,
  },
  "a reset that comes by itself": {
    server: plain,
    directions: {
      client: {
        ...nothing,
        survivedMs: 239_000,
        lostMs: 240_010,
        lossKind: "reset",
        unasked: true,
        strayMs: [20_000, 21_000],
      },
      server: null,
    },
    problem: null,
  },
  "a memory of two seconds": {
    server: plain,
    directions: { client: { ...silent, survivedMs: 2_000, lostMs: 2_500, lossKind: "reset" }, server: null },
    problem: null,
  },
  interrupted: {
    server: plain,
    directions: { client: { ...nothing, survivedMs: 61_000 }, server: null },
    problem: new DeadpeerError("aborted", "interrupted before it was done"),
  },
};

/** To accept a change on purpose: UPDATE_SNAPSHOTS=1 npm test -- cli/nat */
test("what is printed is what was agreed on", () => {
  const snapshot = `${checkout}test/cli/nat.txt`;
  const printed = Object.entries(measured)
    .map(([name, one]) => {
      const plan = fittingPlan(together(one.directions), "35s");
      return `# ${name}\n${natReport(one, plan, "35s", { width: 100, colour: false })}\n`;
    })
    .join("\n");
  if (process.env["UPDATE_SNAPSHOTS"] === "1") writeFileSync(snapshot, printed);
  assert.equal(printed, readFileSync(snapshot, "utf8"));
});

test("JSON has whole milliseconds, rounded outwards, and the shorter of both directions", () => {
  const one = measured["a firewall that lets this end begin anew"] as Measured;
  const plan = fittingPlan(together(one.directions), "35s");
  const json = JSON.parse(JSON.stringify(natJson("db.example", one, plan))) as Record<string, unknown>;
  const { plan: printedPlan, ...rest } = json;
  assert.deepEqual(Object.keys(printedPlan as object), [
    "settings",
    "detection",
    "ridesOutMs",
    "traffic",
    "warnings",
  ]);
  const figures = {
    survivedMs: 343_210,
    lostMs: 351_105,
    lossKind: "silent",
    unasked: false,
    brokenOff: null,
    strayMs: [],
  };
  assert.deepEqual(rest, {
    target: "db.example",
    ...figures,
    complete: true,
    problem: null,
    address: { address: "2001:db8::7", family: 6, port: 7_007 },
    server: "deadpeer-echo",
    seenAs: null,
    proxied: false,
    directions: {
      client: { ...figures, survivedMs: 600_000, lostMs: null, lossKind: "none" },
      server: figures,
    },
  });
});
