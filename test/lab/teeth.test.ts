import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ScenarioResult } from "../../src/lab/run/result.js";
import { runScenarios } from "../../src/lab/run/batch.js";
import { findScenario } from "../../src/lab/scenario/load.js";
import type { Scenario } from "../../src/lab/scenario/schema.js";
import { needsLab } from "./support.js";

/** A scenario whose fault, or whose cause, is taken out. */
function without(name: string, change: (scenario: Scenario) => Scenario): Scenario {
  const scenario = change(findScenario(name));
  return { ...scenario, name: `${name}-toothless`, families: [4] };
}

const noSteps =
  (...actions: readonly string[]) =>
  (scenario: Scenario) => ({
    ...scenario,
    steps: scenario.steps.filter((step) => !actions.some((action) => action in step)),
  });

/** The program of a scenario listens in another way. */
const listensAs = (program: string, as: "quiet" | "echo") => (scenario: Scenario) => ({
  ...scenario,
  programs: Object.fromEntries(
    Object.entries(scenario.programs).map(([name, spec]) => [
      name,
      name === program && spec.listen !== undefined ? { ...spec, listen: { ...spec.listen, as } } : spec,
    ]),
  ),
});

const harmless: readonly Scenario[] = [
  without("cut-off", noSteps("drop", "heal")),
  without("crashed", noSteps("crash")),
  without("rebooted", noSteps("crash", "reboot", "start")),
  without("unreachable-idle", noSteps("reject")),
  without("unreachable-codes", noSteps("reject")),
  without("killed-behind-filter", noSteps("kill")),
  without("orderly-close", noSteps("end")),
  without("zero-window", listensAs("server", "quiet")),
  without("zero-window-user-timeout", listensAs("server", "quiet")),
  without("nat-forgets", (scenario) => ({ ...scenario, nat: undefined })),
  without("nat-evicts", (scenario) => ({
    ...scenario,
    nat: { inside: ["client"], flows: 100, forgotten: "rst" },
  })),
  without("flapping-long", noSteps("flap")),
  without("changed-live", noSteps("set")),
];

describe("a scenario without its fault fails", { skip: needsLab, timeout: 120_000 }, () => {
  test(`${harmless.length} of them, side by side`, async () => {
    const results = await runScenarios(harmless);
    assert.equal(results.length, harmless.length);
    for (const result of results) assertFailed(result);
  });

  test("an expectation of another time fails", async () => {
    const scenario = findScenario("orderly-close");
    const early: Scenario = {
      ...scenario,
      families: [4],
      expect: [
        { program: { program: "client", event: "end" }, between: [0, 100] },
        { program: { program: "client", event: "end" }, between: [0, scenario.lasts] },
      ],
    };
    const [result] = await runScenarios([early]);
    assert.equal(result?.problem, null);
    const [first, second] = result?.expected ?? [];
    // The machine's own lateness is forgiven; half a second is more than that.
    assert.equal(first?.passed, false, `${first?.observed}, late ${result?.lateMs}`);
    assert.equal(second?.passed, true);
  });
});

function assertFailed({ name, problem, passed, expected }: ScenarioResult): void {
  assert.equal(problem, null, name);
  assert.equal(passed, false, `${name} passed: ${expected.map(({ text }) => text).join("; ")}`);
}
