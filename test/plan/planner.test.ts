import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { DeadpeerError, type ErrorCode } from "../../src/errors.js";
import { toleranceMs } from "../../src/plan/choose.js";
import { checkSettings } from "../../src/plan/check.js";
import { parseDuration } from "../../src/plan/duration.js";
import { middleboxes } from "../../src/plan/middleboxes.js";
import { describeSettings, type Plan, type PlanOptions, planDetection } from "../../src/plan/planner.js";
import type { KeepaliveSettings } from "../../src/plan/settings.js";
import { idleDeathMs, sendingDeathMs } from "./simulation.js";

const forEver = { fromMs: 0, toMs: Number.POSITIVE_INFINITY };
const latest = (): number => 8 / 63;
const punctual = (): number => 0;

function keepaliveOf({ settings }: Plan): KeepaliveSettings {
  assert.ok(settings.keepalive !== null);
  return settings.keepalive;
}

function refuses(options: unknown, code: ErrorCode, message: RegExp): void {
  assert.throws(
    () => planDetection(options as PlanOptions),
    (error) => error instanceof DeadpeerError && error.code === code && message.test(error.message),
  );
}

/** From 2 s to a month, as many short ones as long ones. */
const budget = fc
  .double({ min: Math.log(2_000), max: Math.log(30 * 86_400_000), noNaN: true })
  .map((log) => Math.ceil(Math.exp(log)));

describe("any budget", () => {
  test("is held in every regime, by the model and with timers as late as the kernel's get", () => {
    fc.assert(
      fc.property(
        budget,
        fc.subarray(
          middleboxes.map(({ id }) => id),
          { maxLength: 2 },
        ),
        (budgetMs, path) => {
          const plan = planDetection({ detectWithin: budgetMs, path });
          for (const [regime, ms] of Object.entries(plan.detection))
            assert.ok(ms !== null && ms <= budgetMs, `${regime}: ${ms}`);
          const { userTimeoutMs } = plan.settings;
          for (const late of [latest, punctual]) {
            const idle = idleDeathMs(keepaliveOf(plan), userTimeoutMs, forEver, late);
            assert.ok(idle !== null && idle <= budgetMs + toleranceMs, `idle: ${idle}`);
            const sender = { rtoMs: 210, rtoMaxMs: 120_000, limitMs: 0, tailLossProbe: true };
            const sending = sendingDeathMs(plan.settings, sender, forEver.toMs, late);
            assert.ok(sending !== null && sending <= budgetMs + toleranceMs, `sending: ${sending}`);
          }
        },
      ),
      { numRuns: 10_000 },
    );
  });

  test("gives settings that the kernel takes as they are, first probe before its repeat", () => {
    fc.assert(
      fc.property(budget, (budgetMs) => {
        const plan = planDetection({ detectWithin: budgetMs });
        const { idleMs, intervalMs, count } = keepaliveOf(plan);
        assert.deepEqual(checkSettings(plan.settings), { settings: plan.settings, roundings: [] });
        assert.ok(idleMs >= intervalMs);
        assert.equal(plan.detection.idleMs, idleMs + intervalMs * count);
      }),
    );
  });

  test("keeps flows alive in every box that counts keepalive, with a sixth of margin", () => {
    const boxMs = fc.integer({ min: 3, max: 100_000 }).map((s) => s * 1_000);
    fc.assert(
      fc.property(budget, boxMs, (budgetMs, timeoutMs) => {
        const plan = planDetection({ detectWithin: budgetMs, path: [`${timeoutMs}ms`] });
        const { idleMs, intervalMs } = keepaliveOf(plan);
        assert.ok(idleMs <= Math.max(1_000, (timeoutMs * 5) / 6));
        assert.ok(idleMs + intervalMs < timeoutMs);
        assert.ok(!plan.warnings.some(({ code }) => code === "idle-exceeds-path"));
      }),
    );
  });

  test("with an outage: it is ridden out, or the budget is refused and the nearest one named holds", () => {
    fc.assert(
      fc.property(budget, fc.integer({ min: 0, max: 600_000 }), (budgetMs, outage) => {
        let plan: Plan;
        try {
          plan = planDetection({ detectWithin: budgetMs, outage });
        } catch (error) {
          assert.ok(error instanceof DeadpeerError && error.code === "budget-impossible");
          const named = /can be held is (.+)$/.exec(error.message)?.[1]?.replaceAll(" ", "");
          assert.ok(named !== undefined, error.message);
          plan = planDetection({ detectWithin: named, outage });
          assert.ok(parseDuration(named, "named") > budgetMs);
        }
        assert.ok((plan.ridesOutMs.idle ?? 0) >= outage, `idle ${plan.ridesOutMs.idle}`);
        assert.ok(plan.ridesOutMs.sending >= outage, `sending ${plan.ridesOutMs.sending}`);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("the choice", () => {
  test("a longer budget never sends more packets", () => {
    let before = 0;
    for (let seconds = 2; seconds < 400; seconds++) {
      const { idleMs } = keepaliveOf(planDetection({ detectWithin: `${seconds}s`, outage: "0" }));
      assert.ok(idleMs >= before, `${seconds}`);
      before = idleMs;
    }
  });

  test("three probes wherever four seconds are there", () => {
    for (let seconds = 4; seconds < 400; seconds++)
      assert.ok(keepaliveOf(planDetection({ detectWithin: `${seconds}s` })).count >= 3, `${seconds}`);
  });

  test("a box that ignores keepalive does not shorten the idle time", () => {
    const free = planDetection({ detectWithin: "10m" });
    assert.deepEqual(planDetection({ detectWithin: "10m", path: ["aws-alb"] }).settings, free.settings);
    assert.notDeepEqual(planDetection({ detectWithin: "10m", path: ["aws-nlb"] }).settings, free.settings);
  });

  test("the path may name a box twice, or by its alias", () => {
    const { path } = planDetection({ detectWithin: "35s", path: ["azure-lb", "azure-load-balancer", "90s"] });
    assert.deepEqual(
      path.map(({ id }) => id),
      ["azure-load-balancer", "90s"],
    );
  });

  test("budgets beyond the kernel's limits are held early", () => {
    assert.equal(keepaliveOf(planDetection({ detectWithin: "1000d" })).idleMs, 32_767_000);
  });
});

describe("bad input", () => {
  test("budgets that cannot be held name the nearest that can", () => {
    refuses({ detectWithin: "1s" }, "budget-impossible", /nearest time that can be held is 2s$/);
    refuses({ detectWithin: "0" }, "budget-impossible", /is 2s$/);
    refuses({ detectWithin: "1999ms" }, "budget-impossible", /is 2s$/);
    refuses({ detectWithin: "10s", outage: "10s" }, "budget-impossible", /outage of 10s .* is 2\ds$/);
    refuses({ detectWithin: "10s", outage: "4000h" }, "budget-impossible", /any other time/);
  });

  test("what is no duration is refused by name", () => {
    for (const text of ["35", "35x", "-1s", "", " ", "1e3s", "s"]) {
      refuses({ detectWithin: text }, "bad-duration", /^time to detect: /);
      refuses({ detectWithin: "35s", outage: text }, "bad-duration", /^outage: /);
    }
    for (const value of [-1, Number.NaN, Number.POSITIVE_INFINITY, null, {}, undefined, true])
      refuses({ detectWithin: value }, "bad-duration", /^time to detect: /);
  });

  test("an unknown box comes with the nearest name", () => {
    refuses({ detectWithin: "35s", path: ["aws-nbl"] }, "unknown-path", /did you mean aws-nlb\?/);
    refuses({ detectWithin: "35s", path: ["azure-blancer"] }, "unknown-path", /did you mean azure-/);
    refuses({ detectWithin: "35s", path: ["90"] }, "bad-duration", /no unit/);
    refuses({ detectWithin: "35s", path: ["0s"] }, "bad-duration", /forgets every flow/);
  });

  test("so does a number of connections that is none", () => {
    for (const connections of [0, -1, 1.5, Number.NaN])
      refuses({ detectWithin: "35s", connections }, "bad-option", /^connections: /);
  });
});

function given(keepalive: Partial<KeepaliveSettings>, userTimeoutMs = 0): Plan {
  return describeSettings({
    keepalive: { idleMs: 60_000, intervalMs: 10_000, count: 3, ...keepalive },
    userTimeoutMs,
  });
}

describe("given settings", () => {
  test("what Linux would refuse is refused", () => {
    const values: readonly [Partial<KeepaliveSettings>, RegExp][] = [
      [{ idleMs: 0 }, /^idle 0s: Linux refuses it/],
      [{ idleMs: 999 }, /^idle 999ms: /],
      [{ idleMs: 32_768_000 }, /^idle 32768s: .* 1s to 32767s/],
      [{ intervalMs: 0 }, /^interval 0s: /],
      [{ intervalMs: 32_768_000 }, /^interval 32768s: /],
      [{ count: 0 }, /^count 0: .* 1 to 127/],
      [{ count: 128 }, /^count 128: /],
      [{ count: 1.5 }, /^count 1\.5: /],
      [{ idleMs: Number.NaN }, /^idle /],
    ];
    for (const [value, message] of values)
      assert.throws(
        () => given(value),
        (error) =>
          error instanceof DeadpeerError && error.code === "value-refused" && message.test(error.message),
      );
    assert.throws(() => given({}, -1), { code: "value-refused" });
    assert.throws(() => given({}, 2 ** 31), { code: "value-refused" });
  });

  test("the limits themselves are taken", () => {
    assert.equal(
      given({ idleMs: 32_767_000, intervalMs: 32_767_000, count: 127 }).detection.idleMs,
      128 * 32_767_000,
    );
    assert.equal(given({ idleMs: 1_000, intervalMs: 1_000, count: 1 }, 2 ** 31 - 1).budgetMs, null);
  });

  test("parts of seconds are dropped as the kernel's units drop them", () => {
    assert.equal(given({ idleMs: 1_999 }).detection.idleMs, 31_000);
  });
});
