import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { checkout, cli } from "../support/checkout.js";

function chain(...args: string[]) {
  return spawnSync(process.execPath, [cli, "http", "chain", ...args], { encoding: "utf8", cwd: checkout });
}

const configurations = "test/http/chain/configurations";

/** To accept a change on purpose: UPDATE_SNAPSHOTS=1 npm test -- cli/http-chain */
test("what is printed is what was agreed on", () => {
  const snapshot = `${checkout}test/cli/http-chain.txt`;
  const printed = [
    ["--client", "idle=4s", "--server", "keepalive=5s"],
    [
      "--client",
      "aws-alb",
      "--proxy",
      `${configurations}/good/haproxy-closes.cfg`,
      "--server",
      "keepalive=5s",
    ],
    [
      "--client",
      "idle=4s",
      "--proxy",
      `${configurations}/faulty/node-default.conf`,
      "--server",
      '{"headersTimeout":60000}',
    ],
    [
      "--client",
      "idle=10s",
      "--proxy",
      `${configurations}/faulty/no-effect.conf`,
      "--server",
      "keepalive=65s",
    ],
    [
      "--client",
      "idle=2s",
      "--proxy",
      `${configurations}/faulty/haproxy.cfg`,
      "--proxy",
      `${configurations}/good/includes.conf`,
      "--upstream",
      "static",
    ],
    ["--client", "idle=never", "--proxy", "aws-nlb", "--server", "idle=5s"],
  ]
    .map((args) => {
      const { status, stdout, stderr } = chain(...args);
      assert.equal(status, 0, stderr);
      assert.equal(stderr, "");
      return `$ deadpeer http chain ${args.join(" ")}\n${stdout}`;
    })
    .join("\n");
  if (process.env["UPDATE_SNAPSHOTS"] === "1") writeFileSync(snapshot, printed);
  assert.equal(printed, readFileSync(snapshot, "utf8"));
});

test("--json and --check", () => {
  const args = [
    "--client",
    "idle=60s",
    "--proxy",
    "aws-alb",
    "--server",
    '{"keepAliveTimeout":65000,"headersTimeout":66000}',
  ];
  const { status, stdout } = chain(...args, "--json", "--check");
  assert.equal(status, 1);
  const { hops, pairs, findings } = JSON.parse(stdout) as {
    hops: { role: string; name: string; upstream: object | null; downstream: object | null }[];
    pairs: { verdict: string; idleMs: number; keepAliveMs: number }[];
    findings: { code: string; hop: string; set: object[] }[];
  };
  assert.deepEqual(
    hops.map(({ role }) => role),
    ["client", "proxy", "server"],
  );
  assert.deepEqual(hops[1]?.downstream, {
    keeps: true,
    idleMs: 60_000,
    setBy: "idle timeout",
    place: "as it comes",
    advertisedMs: null,
  });
  assert.deepEqual(
    pairs.map(({ verdict, idleMs, keepAliveMs }) => [verdict, idleMs, keepAliveMs]),
    [
      ["race", 60_000, 60_000],
      ["good", 60_000, 65_000],
    ],
  );
  assert.deepEqual(
    findings.map(({ code, hop, set }) => [code, hop, set]),
    [
      [
        "idle-exceeds-keepalive",
        "the client",
        [{ hop: "the client", line: "end idle connections after 55000 ms" }],
      ],
    ],
  );
  assert.equal(chain(...args, "--check", "margin-too-small,unknown-times").status, 0);
  assert.equal(chain("--client", "idle=50s", ...args.slice(2), "--check").status, 0);
});

test("refusals are one line, and status 2", () => {
  for (const [args, complaint] of [
    [[], /^deadpeer: a chain has two hops or more; /],
    [["--server", "keepalive=5s"], /^deadpeer: a chain has two hops or more; /],
    [["--client", "idle=60", "--server", "keepalive=5s"], /^deadpeer: --client idle: "60" has no unit/],
    [
      ["--client", "idle=60s", "--server", "nowhere.conf"],
      /^deadpeer: nowhere\.conf: cannot be read: there is no such file/,
    ],
    [["--client", "idle=60s", "--proxy", "aws-abl", "--server", "keepalive=5s"], /did you mean aws-alb/],
    [["--client", "idle=60s", "--server", "{"], /^deadpeer: --server: is no JSON/],
    [
      ["--client", "idle=60s", "--server", "keepalive=5s", "--upstream", "a"],
      /^deadpeer: --upstream says which/,
    ],
    [
      ["--client", "idle=4s", "--proxy", `${configurations}/faulty/haproxy.cfg`, "--upstream", "statc"],
      /^deadpeer: --upstream statc: no proxy has .* of that name; did you mean static\?$/m,
    ],
    [["--client", "idle=60s", "--server", "keepalive=5s", "--check", "race"], /there is no finding "race"/],
    [["--client", "idle=60s", "--server", "keepalive=5s", "--margin", "x"], /^deadpeer: --margin: /],
  ] as const) {
    const { status, stdout, stderr } = chain(...args);
    assert.equal(status, 2, stderr);
    assert.equal(stdout, "");
    assert.match(stderr, complaint);
    assert.equal(stderr.split("\n").length, 2, stderr);
  }
});
