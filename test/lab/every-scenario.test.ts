import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { explainCapture } from "../../src/capture/index.js";
import { deathsIn, onlyTheProgramKnows } from "../../src/lab/run/agreement.js";
import type { ScenarioResult } from "../../src/lab/run/result.js";
import { askTshark, framesByKind, needsTshark } from "../capture/tshark.js";
import { cli } from "../support/checkout.js";
import { needsLab } from "./support.js";

/**
 * Cut off from their own wire, so that no capture shows how they went down; or a thousand connections ended in order, whose second
 * capture would cost more than it tells.
 */
const uncaptured = new Set(["link-down", "address-removed", "short-against-long"]);

function lab(...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [cli, "lab", ...args], { encoding: "utf8", maxBuffer: 1 << 28 });
}

describe("every scenario, over each of its families", { skip: needsLab, timeout: 500_000 }, () => {
  let folder: string;
  let tookMs: number;
  let ran: ReturnType<typeof lab>;
  let results: readonly ScenarioResult[];
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "deadpeer-every-scenario-test-"));
    const began = performance.now();
    ran = lab("run", "--all", "--json", "--pcap", folder);
    tookMs = performance.now() - began;
    results = JSON.parse(ran.stdout) as ScenarioResult[];
  });
  after(() => rmSync(folder, { recursive: true }));

  test("passes, in under three minutes all together", () => {
    for (const { name, family, passed, problem, expected, lateMs, observed } of results) {
      if (passed) continue;
      const failed = expected
        .filter((one) => !one.passed)
        .map(({ text, observed }) => `${text}: ${observed}`);
      // What happened, for whoever has to find out why it fails once in a thousand runs.
      const story = observed.map((event) => JSON.stringify(event)).slice(0, 60);
      assert.fail(
        [`${name}, IPv${family}, late ${lateMs} ms: ${problem ?? failed.join("; ")}`, ...story].join("\n"),
      );
    }
    assert.equal(ran.status, 0, ran.stderr);
    assert.ok(tookMs < 180_000, `${tookMs} ms`);
  });

  test("is told of, on stderr as it ends and in the results", () => {
    const runs = (JSON.parse(lab("list", "--json").stdout) as { families: number[] }[]).flatMap(
      ({ families }) => families,
    );
    assert.equal(results.length, runs.length);
    const lines = ran.stderr.split("\n").filter((line) => line.startsWith("passed"));
    assert.equal(lines.length, runs.length);
  });

  test("every death has the same verdict in the program and on its wire alone", () => {
    for (const { name, family, observed, expected } of results) {
      if (uncaptured.has(name)) continue;
      const deaths = deathsIn(observed).filter(({ verdict }) => !onlyTheProgramKnows(verdict));
      const compared = expected.filter(({ text }) => text.startsWith("the capture alone gives"));
      assert.ok(
        compared.every(({ passed }) => passed),
        name,
      );
      assert.equal(compared.flatMap(({ atMs }) => atMs).length, deaths.length, `${name}, IPv${family}`);
    }
    const silent = results.filter(({ wireVerdict }) => wireVerdict?.state === "silent");
    assert.ok(silent.length > 20, `${silent.length} silent deaths were captured`);
  });

  test("in every capture explain and tshark name the same frames", { skip: needsTshark }, async () => {
    const kinds = new Set<string>();
    const files = readdirSync(folder);
    assert.ok(files.length >= 2 * results.length - 8, `${files.length} captures`);
    const compare = async (): Promise<void> => {
      for (let file = files.pop(); file !== undefined; file = files.pop()) {
        const path = join(folder, file);
        const theirs = await askTshark(path);
        assert.deepEqual(framesByKind(await explainCapture(readFileSync(path))), theirs, file);
        for (const kind of Object.keys(theirs)) kinds.add(kind);
      }
    };
    // tshark takes a third of a second to start, whatever it reads.
    await Promise.all([compare(), compare()]);
    for (const kind of ["keep-alive", "keep-alive-ack", "zero-window", "window-full", "retransmission"])
      assert.ok(kinds.has(kind), kind);
  });
});
