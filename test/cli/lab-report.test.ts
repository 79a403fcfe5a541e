import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { ScenarioResult } from "../../src/lab/index.js";
import { cli } from "../support/checkout.js";
import { assertReadable, assertWellFormed, needsPageTools } from "../support/page.js";
import { captureOf, madeAt } from "../support/pcap.js";
import { cutOff } from "./explain-captures.js";

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), "deadpeer-lab-report-test-"));
  writeFileSync(join(folder, "cut-off.pcap"), captureOf(cutOff()));
});
after(() => rmSync(folder, { recursive: true }));

/** A run of a scenario whose client is cut off, as `lab run --json` prints it. */
function result(more: Partial<ScenarioResult> = {}): ScenarioResult {
  return {
    name: "cut-off",
    family: 4,
    title: "Cut off: <nobody> answers & nobody tells",
    belief: "Books send `ten` probes.",
    outcome: "Linux sends `count`.",
    passed: true,
    problem: null,
    durationMs: 600_000,
    startedAt: madeAt + 1,
    lastsMs: 590_000,
    lateMs: 0,
    discarded: null,
    hosts: [
      { name: "client", address: "192.0.2.1" },
      { name: "server", address: "198.51.100.7" },
    ],
    connections: [
      {
        name: "main",
        program: "client",
        from: "client",
        to: "server",
        port: 5432,
        settings: { idle: 60_000, interval: 10_000, count: 3 },
      },
    ],
    expected: [
      { text: "3 keep-alive, 1s to 2s", passed: true, observed: "keep-alive at 9m", atMs: [], between: null },
      { text: "a reset", passed: true, observed: "reset at 9m 30s", atMs: [], between: null },
    ],
    observed: [
      {
        atMs: 0,
        source: "program",
        host: "client",
        program: "client",
        event: "connected",
        connection: "main",
        local: "192.0.2.1 40001",
        remote: "198.51.100.7 5432",
        settings: null,
      },
      {
        atMs: 500_000,
        source: "lab",
        action: "drop",
        name: "cut",
        details: { between: ["client", "server"] },
      },
    ],
    verdict: null,
    wireVerdict: null,
    pcap: join(folder, "cut-off.pcap"),
    pcaps: {},
    ...more,
  };
}

function program(host: string, said: Record<string, string>): object {
  return {
    atMs: 0,
    source: "program",
    host,
    program: host,
    local: "198.51.100.7 5432",
    remote: "198.51.100.7 5432",
    settings: null,
    ...said,
  };
}

function said(state: string): ScenarioResult["verdict"] {
  return {
    state,
    timer: "none",
    sentence: "It ended.",
    detectedAfterMs: null,
  } as ScenarioResult["verdict"];
}

function lab(action: string, details: object): object {
  return { atMs: 500_000, source: "lab", action, name: null, details };
}

function report(
  results: unknown,
  ...args: readonly string[]
): ReturnType<typeof spawnSync> & { stdout: string; stderr: string } {
  const file = join(folder, "results.json");
  writeFileSync(file, typeof results === "string" ? results : JSON.stringify(results));
  return spawnSync(process.execPath, [cli, "lab", "report", "--from", file, "--out", "-", ...args], {
    encoding: "utf8",
    maxBuffer: 2 ** 26,
  });
}

describe("the report on an earlier run", () => {
  test("shows the scenario, what was expected beside what was seen, and its packets", () => {
    const { status, stdout, stderr } = report([result()]);
    assert.equal(status, 0, stderr);
    assert.match(stdout, /Cut off: &lt;nobody&gt; answers &amp; nobody tells/);
    assert.match(stdout, /Books send <code>ten<\/code> probes/);
    assert.match(stdout, /client → server, port 5432: keepalive idle 1m, interval 10s, count 3/);
    assert.match(stdout, /aria-label="as expected">✓<\/span> reset at 9m 30s/);
    assert.equal(stdout.match(/<svg /g)?.length, 1);
    assert.match(stdout, />packets between client and server are dropped</);
    assert.match(stdout, />keep-alive · no answer</);
    assert.match(stdout, /class="band"/);
  });

  test("a verdict and a step are drawn where they belong: to their own connection", () => {
    const [main] = result().connections as [ScenarioResult["connections"][number]];
    const verdict = { state: "silent", detectedAfterMs: 90_000, timer: "keepalive", errno: "ETIMEDOUT" };
    const heard = (host: string, connection: string): object => ({
      atMs: 570_028,
      source: "program",
      event: "verdict",
      verdict,
      host,
      program: host,
      connection,
    });
    const observed = [
      ...result().observed,
      program("client", { event: "connected", connection: "other", local: "192.0.2.1 40009" }),
      program("server", { event: "accepted", connection: "accepted-1", remote: "192.0.2.1 40001" }),
      program("server", { event: "accepted", connection: "accepted-2", remote: "192.0.2.1 40009" }),
      heard("client", "main"),
      heard("client", "other"),
      heard("server", "accepted-1"),
      heard("server", "accepted-2"),
      lab("write", { program: "client", connection: "main", text: "mine" }),
      lab("write", { program: "client", connection: "other", text: "not mine" }),
    ] as ScenarioResult["observed"];
    const { stdout } = report([result({ connections: [main, { ...main, name: "other" }], observed })]);
    assert.equal(stdout.match(/>client: silent, noticed/g)?.length, 1);
    assert.equal(stdout.match(/>server: silent, noticed/g)?.length, 1);
    assert.match(stdout, /client writes “mine”/);
    assert.doesNotMatch(stdout, /not mine/);
  });

  test("what only the program can know is no disagreement", () => {
    const own = report([result({ verdict: said("local"), wireVerdict: said("closed") })]).stdout;
    assert.match(own, /class="dim">\(which only the program can know; the capture alone says closed\)/);
    const wrong = report([result({ verdict: said("silent"), wireVerdict: said("closed") })]).stdout;
    assert.match(wrong, /class="bad">\(the capture alone says closed\)/);
  });

  test("times count from the moment in which all connections stood", () => {
    // The made capture begins 1 ms before; its RST comes at 570.029 s.
    assert.match(report([result()]).stdout, />9:30\.028</);
  });

  test("both families share a row, though their windows differ a little, and a failed one is drawn", () => {
    const later = [
      { text: "3 keep-alive, 1.1s to 2.1s", passed: false, observed: "none", atMs: [], between: null },
    ];
    const six = result({ family: 6, passed: false, expected: later });
    const { status, stdout } = report([result(), six]);
    assert.equal(status, 1);
    assert.match(stdout, /1 of 2 runs did not go as expected/);
    assert.match(
      stdout,
      /<td>3 keep-alive, 1s to 2s<\/td><td class="seen">.*keep-alive at 9m.*<td class="seen">.*✗.*none/,
    );
    assert.match(stdout, /id="cut-off-6-\d+-title"/);
  });

  test("a capture that is gone, and a run that never began", () => {
    const problem = "the lab's hosts could not be made";
    const failed = result({ pcap: null, problem, passed: false, expected: [], observed: [], startedAt: 0 });
    const gone = result({ name: "gone", pcap: join(folder, "gone.pcap") });
    const { status, stdout, stderr } = report([failed, gone]);
    assert.equal(status, 1, stderr);
    assert.match(stdout, /IPv4: the lab&#39;s hosts could not be made/);
    assert.equal(stdout.match(/No capture was kept/g)?.length, 2);
  });

  test("is well-formed and reads well in Chromium", { skip: needsPageTools }, () => {
    const { stdout } = report([result(), result({ family: 6 })]);
    assertWellFormed(stdout);
    assertReadable(stdout, 1_000);
  });

  test("what is no result is one line and status 2", () => {
    for (const [text, message] of [
      ["nonsense", /is not JSON/],
      ["[]", /not what `deadpeer lab run --json` prints/],
      ['[{"name": "x"}]', /not what `deadpeer lab run --json` prints/],
    ] as const) {
      const { status, stderr } = report(text);
      assert.equal(status, 2);
      assert.match(stderr, message);
      assert.match(stderr, /^deadpeer: .*\n$/);
    }
    const { status, stderr } = report([result()], "cut-off");
    assert.equal(status, 2);
    assert.match(stderr, /give names or --from/);
  });

  test("somebody's file is not written over", () => {
    const mine = join(folder, "mine.html");
    writeFileSync(mine, "<p>mine</p>");
    const { status, stderr } = report([result()], "--out", mine);
    assert.equal(status, 2);
    assert.match(stderr, /exists and is no page of deadpeer's/);
    assert.equal(readFileSync(mine, "utf8"), "<p>mine</p>");
  });
});
