import { setMaxListeners } from "node:events";
import { families, type Family } from "../network.js";
import type { Scenario } from "../scenario/schema.js";
import type { ScenarioResult } from "./result.js";
import { type RunOptions, runScenario } from "./runner.js";

/** Runs mostly wait for timers of the kernel; what they cost is the looking, some hundredths of a processor each. */
const atOnce = 8;
/**
 * A run in which the lab itself was given the processor this late says more about the machine than about TCP … Windows make up for
 * less: 144 runs of 144 passed that were up to 170 ms late.
 */
const disturbedFromMs = 250;
/** … and is measured once more after the others, with fewer neighbours. */
const atOnceAgain = 4;
/** Making hosts and starting programs is work, and would make the others' programs late: as many as the smallest machine has cores. */
const settingUpAtOnce = 2;

export interface BatchOptions extends RunOptions {
  readonly families?: readonly Family[];
  /** Told of each run as it begins and ends. */
  readonly onStart?: (scenario: Scenario, family: Family) => void;
  readonly onResult?: (result: ScenarioResult) => void;
  /** Told instead of a result that is thrown away; the run begins again later. */
  readonly onDisturbed?: (result: ScenarioResult) => void;
}

/**
 * Runs scenarios side by side, each over every family it makes sense for. Each run has hosts of its own, so none disturbs another.
 * A run that the machine disturbed is thrown away, whatever it showed, and measured once more. The second one counts as it is,
 * disturbed or not, and tells of the first; what failed undisturbed has failed.
 *
 * @param run what measures a scenario over a family.
 * @returns the results in the order of the scenarios.
 * @throws DeadpeerError `aborted` if the signal fires, once everything is gone.
 */
export async function runScenarios(
  scenarios: readonly Scenario[],
  options: BatchOptions = {},
  run = runScenario,
): Promise<ScenarioResult[]> {
  const wanted = scenarios.flatMap((scenario) =>
    (options.families ?? families)
      .filter((family) => scenario.families?.includes(family) ?? true)
      .map((family) => ({ scenario, family })),
  );
  // One listener for each run that waits: many, and no leak.
  if (options.signal !== undefined) setMaxListeners(0, options.signal);
  const settingUp = new Turns(settingUpAtOnce);
  const turn = options.turn ?? (() => settingUp.take());
  const measure = async (slots: Turns, { scenario, family }: Wanted): Promise<ScenarioResult> => {
    const done = await slots.take();
    try {
      options.onStart?.(scenario, family);
      return await run(scenario, family, { ...options, turn });
    } finally {
      done();
    }
  };
  const isDisturbed = ({ lateMs }: ScenarioResult): boolean =>
    lateMs >= disturbedFromMs && options.beforeEnd === undefined;

  const slots = new Turns(atOnce);
  const first = await all(
    wanted.map(async (one) => {
      const result = await measure(slots, one);
      if (isDisturbed(result)) options.onDisturbed?.(result);
      else options.onResult?.(result);
      return result;
    }),
  );
  const slotsAgain = new Turns(atOnceAgain);
  return await all(
    first.map(async (result, index) => {
      const one = wanted[index];
      if (one === undefined || !isDisturbed(result)) return result;
      const second = insteadOf(result, await measure(slotsAgain, one));
      options.onResult?.(second);
      return second;
    }),
  );
}

/** The second measuring counts; that there was a first is not kept from anybody. */
function insteadOf({ lateMs, passed }: ScenarioResult, second: ScenarioResult): ScenarioResult {
  return { ...second, discarded: { lateMs, passed } };
}

interface Wanted {
  readonly scenario: Scenario;
  readonly family: Family;
}

/** All must have cleaned up before an error may end the process. */
async function all(runs: readonly Promise<ScenarioResult>[]): Promise<ScenarioResult[]> {
  const settled = await Promise.allSettled(runs);
  return settled.map((run) => {
    if (run.status === "rejected") throw run.reason;
    return run.value;
  });
}

/** Lets so many through at a time, in the order in which they came. */
class Turns {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(free: number) {
    this.#free = free;
  }

  /** Resolves with what gives the turn back; calling that twice does no harm. */
  async take(): Promise<() => void> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    let given = false;
    return () => {
      if (given) return;
      given = true;
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    };
  }
}
