import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, test } from "node:test";
import { cli } from "../support/checkout.js";

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function plan(...args: string[]): Outcome {
  return spawnSync(process.execPath, [cli, "plan", ...args], { encoding: "utf8" });
}

function json(...args: string[]): Record<string, unknown> {
  const { status, stdout, stderr } = plan(...args, "--json");
  assert.deepEqual([status, stderr], [0, ""]);
  return JSON.parse(stdout) as Record<string, unknown>;
}

function refused(args: readonly string[], message: RegExp): void {
  const { status, stdout, stderr } = plan(...args);
  assert.equal(status, 2, stderr);
  assert.equal(stdout, "");
  assert.match(stderr, message);
  assert.match(stderr, /^deadpeer: [^\n]+\n$/, "one line");
}

describe("plan --json", () => {
  test("prints what Linux comes with, and nothing else", () => {
    assert.deepEqual(json("--idle", "7200s", "--interval", "75s", "--count", "9"), {
      settings: { keepalive: { idleMs: 7_200_000, intervalMs: 75_000, count: 9 }, userTimeoutMs: 0 },
      detection: {
        idleMs: 7_875_000,
        sendingMs: 924_600,
        zeroWindowMs: null,
        zeroWindowSilentMs: 924_600,
        connectingMs: 131_000,
      },
      ridesOutMs: { idle: 600_000, sending: 789_361 },
      traffic: { packetsPerDay: 24, bytesPerDay: 1_248, bytesPerMonth: 37_440, wakeupsPerDay: 12 },
      warnings: [],
    });
  });

  test("takes the rest from Linux when a part of the settings is given", () => {
    assert.deepEqual(json("--idle", "60s")["settings"], {
      keepalive: { idleMs: 60_000, intervalMs: 75_000, count: 9 },
      userTimeoutMs: 0,
    });
    assert.deepEqual(json("--keepalive", "on")["settings"], json("--count", "9")["settings"]);
    assert.deepEqual(json("--user-timeout", "30s")["settings"], { keepalive: null, userTimeoutMs: 30_000 });
  });

  test("sums up connections and heeds retries2", () => {
    const { traffic, detection } = json("--detect", "35s", "--connections", "50000", "--retries2", "3");
    assert.equal((traffic as { connections: number }).connections, 50_000);
    assert.equal((detection as { zeroWindowSilentMs: number }).zeroWindowSilentMs, 3_000);
  });

  test("carries warnings with their codes", () => {
    const { warnings } = json("--keepalive", "on", "--path", "aws-nlb", "--path", "aws-alb");
    const codes = (warnings as { code: string }[]).map(({ code }) => code);
    assert.deepEqual(codes, ["idle-exceeds-path", "keepalive-not-counted", "needs-heartbeat"]);
  });
});

describe("plan for people", () => {
  test("fits 80 columns and says what to do next", () => {
    const { status, stdout, stderr } = plan(
      "--detect",
      "35s",
      "--path",
      "aws-nlb",
      "--outage",
      "10s",
      "--connections",
      "50000",
    );
    assert.deepEqual([status, stderr], [0, ""]);
    for (const line of stdout.split("\n")) assert.ok(line.length <= 80, line);
    assert.match(stdout, /^Settings that notice a dead peer within 35s$/m);
    assert.match(stdout, /^ {2}idle +33s +10s /m);
    assert.match(stdout, /^ {2}deadpeer plan --detect 35s --path aws-nlb --outage 10s --for node$/m);
    assert.match(stdout, /kills-slow-readers/);
  });

  test("says never where it is never", () => {
    assert.match(plan("--keepalive", "off").stdout, /^ {2}idle +never +any /m);
  });
});

describe("plan --for", () => {
  test("prints the lines alone; what else there is to say goes to stderr", () => {
    const { status, stdout, stderr } = plan("--detect", "35s", "--for", "redis");
    assert.equal(status, 0);
    assert.match(stdout, /^tcp-keepalive \d+$/m);
    assert.match(stderr, /^deadpeer: kills-slow-readers: /m);
  });

  test("adds them to the JSON", () => {
    const { snippet, settings } = json("--detect", "35s", "--for", "sysctl");
    assert.equal((snippet as { target: string }).target, "sysctl");
    assert.ok(settings);
  });

  test("names the nearest target", () => refused(["--detect", "35s", "--for", "ngnix"], /nginx/));
});

describe("plan --list", () => {
  for (const [catalogue, id] of [
    ["paths", "aws-nlb"],
    ["systems", "windows-xp"],
    ["programs", "go"],
    ["targets", "postgres"],
  ] as const)
    test(`${catalogue}, for people and as JSON`, () => {
      assert.match(plan("--list", catalogue).stdout, new RegExp(`^${id} `, "m"));
      const entries = json("--list", catalogue) as unknown as { id: string }[];
      assert.ok(entries.some((entry) => entry.id === id));
    });

  test("names the nearest catalogue", () => refused(["--list", "path"], /did you mean paths\?/));
});

describe("plan refuses", () => {
  const cases: readonly [args: readonly string[], message: RegExp][] = [
    [["--detect", "35"], /"35" has no unit/],
    [["--detect", "35x"], /"35x" is not a duration/],
    [["--detect", "-1s"], /"-1s" is negative/],
    [["--detect", ""], /a duration is missing/],
    [["--detect", "1s"], /the nearest time that can be held is 2s/],
    [["--detect", "35s", "--path", "aws-nbl"], /did you mean aws-nlb\?/],
    [["--detect", "35s", "--idle", "20s"], /leave out --idle/],
    [["--detect", "35s", "--connections", "many"], /--connections: "many" is not a whole number/],
    [["--detect", "35s", "--connections", "0"], /connections: 0 /],
    [["--idle", "0", "--interval", "75s"], /idle 0s: Linux refuses it/],
    [["--idle", "32768s"], /idle 32768s: Linux refuses it/],
    [["--count", "128"], /count 128: Linux refuses it/],
    [["--count", "3.5"], /--count: "3.5" is not a whole number/],
    [["--idle", "60s", "--outage", "5s"], /--outage only means something with --detect/],
    [["--idle", "60s", "--keepalive", "off"], /--keepalive off leaves no meaning/],
    [["--keepalive", "maybe"], /"maybe" is neither on nor off/],
    [["--idle", "60s", "--retries2", "256"], /--retries2 256: the kernel refuses it/],
    [[], /say how soon/],
    [["--detct", "35s"], /unknown option '--detct'/],
    [["35s"], /too many arguments/],
  ];
  for (const [args, message] of cases) test(["plan", ...args].join(" "), () => refused(args, message));
});
