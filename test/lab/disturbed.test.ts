import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { reportText } from "../../src/cli/lab-report-text.js";
import { runScenarios } from "../../src/lab/run/batch.js";
import type { ScenarioResult } from "../../src/lab/run/result.js";
import { findScenario } from "../../src/lab/scenario/load.js";
import type { Scenario } from "../../src/lab/scenario/schema.js";
import { needsLab } from "./support.js";

const scenario: Scenario = { ...findScenario("orderly-close"), families: [4] };

/** What one measuring after the other shows. */
interface Measured {
  readonly lateMs: number;
  readonly passed: boolean;
}

/** Runs a scenario whose measurings are made up; the last one stands for all that follow. */
async function batchOf(...measured: readonly Measured[]): Promise<{
  readonly results: readonly ScenarioResult[];
  readonly told: readonly string[];
}> {
  let turn = 0;
  const told: string[] = [];
  const results = await runScenarios(
    [scenario],
    {
      onStart: () => told.push("start"),
      onDisturbed: () => told.push("disturbed"),
      onResult: () => told.push("result"),
    },
    async () => made(measured[Math.min(turn++, measured.length - 1)] as Measured),
  );
  return { results, told };
}

function made(measured: Measured): ScenarioResult {
  return {
    name: "orderly-close",
    family: 4,
    title: "The server ends in order",
    belief: null,
    outcome: "Each side sends one FIN",
    problem: null,
    durationMs: 2_000,
    startedAt: 1,
    lastsMs: 2_000,
    discarded: null,
    hosts: [],
    connections: [],
    expected: [],
    observed: [],
    verdict: null,
    wireVerdict: null,
    pcap: null,
    pcaps: {},
    ...measured,
  };
}

describe("a run that the machine disturbed is measured once more", () => {
  test("a failure on an undisturbed machine stays one, and is not repeated", async () => {
    const { results, told } = await batchOf({ lateMs: 249, passed: false }, { lateMs: 0, passed: true });
    assert.deepEqual(told, ["start", "result"]);
    assert.deepEqual(results, [made({ lateMs: 249, passed: false })]);
  });

  test("a disturbed failure is discarded, and so is a disturbed success", async () => {
    for (const passed of [false, true]) {
      const { results, told } = await batchOf({ lateMs: 250, passed }, { lateMs: 3, passed: !passed });
      assert.deepEqual(told, ["start", "disturbed", "start", "result"]);
      assert.deepEqual(results, [
        { ...made({ lateMs: 3, passed: !passed }), discarded: { lateMs: 250, passed } },
      ]);
    }
  });

  test("the second measuring counts, disturbed or not: there is no third", async () => {
    const { results, told } = await batchOf(
      { lateMs: 900, passed: false },
      { lateMs: 300, passed: false },
      { lateMs: 0, passed: true },
    );
    assert.deepEqual(told, ["start", "disturbed", "start", "result"]);
    assert.deepEqual(results, [
      { ...made({ lateMs: 300, passed: false }), discarded: { lateMs: 900, passed: false } },
    ]);
  });

  test("the text says so, and what the first one had shown", async () => {
    const { results } = await batchOf({ lateMs: 412, passed: false }, { lateMs: 0, passed: true });
    const again =
      /Measured again: the first time the machine gave the lab the processor 412 ms late \(it had failed\)/;
    assert.match(reportText(results, process.stdout), again);
    assert.doesNotMatch(reportText([made({ lateMs: 0, passed: true })], process.stdout), /Measured again/);
  });
});

/** Holds this process up, in the midst of the first measuring only. */
function holdUp(): () => Promise<() => void> {
  let held = false;
  return async () => () => {
    if (held) return;
    held = true;
    setTimeout(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 700), 900);
  };
}

describe("a lab that is held up", { skip: needsLab, timeout: 60_000 }, () => {
  for (const fails of [false, true])
    test(`notices it, and runs ${fails ? "what fails" : "what passes"} once more`, async () => {
      const never = { program: { program: "client", event: "error" as const } };
      const held: Scenario = fails ? { ...scenario, expect: [never] } : scenario;
      let starts = 0;
      const [result] = await runScenarios([held], { turn: holdUp(), onStart: () => starts++ });
      assert.equal(starts, 2);
      assert.equal(result?.problem, null);
      assert.ok((result?.discarded?.lateMs ?? 0) >= 500, JSON.stringify(result?.discarded));
      if (fails) assert.equal(result?.discarded?.passed, false);
      assert.equal(result?.passed, !fails);
    });
});
