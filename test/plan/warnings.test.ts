import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  type DescribeOptions,
  describeSettings,
  type Plan,
  planDetection,
  type Warning,
  type WarningCode,
} from "../../src/plan/planner.js";
import type { KeepaliveSettings } from "../../src/plan/settings.js";

const seconds = (idle: number, interval: number, count: number): KeepaliveSettings => ({
  idleMs: idle * 1_000,
  intervalMs: interval * 1_000,
  count,
});

type Case = readonly [keepalive: KeepaliveSettings | null, userTimeoutMs: number, path?: readonly string[]];

/** Settings that deserve the warning, with a word that must be in it, and settings next to them that do not. */
const cases: Readonly<
  Record<
    WarningCode,
    { readonly warned: readonly (readonly [RegExp, ...Case])[]; readonly quiet: readonly Case[] }
  >
> = {
  "idle-exceeds-path": {
    warned: [
      [/5m 50s of silence, before the first probe .* at most 4m 51s/, seconds(7_200, 75, 9), 0, ["aws-nlb"]],
      [/one lost probe is too many: its repeat goes out at 5m 50s/, seconds(340, 10, 3), 0, ["aws-nlb"]],
      [/without keepalive/, null, 0, ["azure-lb"]],
    ],
    quiet: [
      [seconds(339, 10, 3), 0, ["aws-nlb"]],
      [seconds(7_200, 75, 9), 0],
      [seconds(7_200, 75, 9), 0, ["aws-alb"]],
    ],
  },
  "keepalive-not-counted": {
    warned: [[/AWS Application Load Balancer .* 1m, probes or not/, seconds(20, 5, 3), 0, ["aws-alb"]]],
    quiet: [
      [seconds(20, 5, 3), 0, ["aws-nlb"]],
      [null, 0, ["aws-alb"]],
    ],
  },
  "needs-heartbeat": {
    warned: [[/Balancer and .* end TCP/, seconds(20, 5, 3), 0, ["aws-alb", "gcp-alb", "aws-nlb"]]],
    quiet: [[seconds(20, 5, 3), 0, ["aws-nlb"]]],
  },
  "user-timeout-below-idle": {
    warned: [[/noticed after 1m 10s all the same/, seconds(60, 10, 3), 5_000]],
    quiet: [
      [seconds(60, 10, 3), 60_000],
      [seconds(60, 10, 3), 0],
      [null, 5_000],
    ],
  },
  "user-timeout-adds-interval": {
    warned: [[/noticed after 1m 40s, not idle \+ interval x count = 1m 30s/, seconds(60, 10, 3), 90_001]],
    quiet: [
      [seconds(60, 10, 3), 90_000],
      [seconds(60, 10, 3), 0],
      [null, 90_001],
    ],
  },
  "kills-slow-readers": {
    warned: [[/reads nothing for 30s/, null, 30_000]],
    quiet: [
      [null, 60_000],
      [seconds(20, 5, 3), 0],
    ],
  },
  "rides-out-little": {
    warned: [
      [/^A single lost probe ends .*Allow more time/, seconds(60, 10, 1), 0],
      [/^A single lost probe ends .*Raise the user timeout/, seconds(60, 10, 9), 65_000],
      [/more than 2s may end/, seconds(3, 1, 3), 0],
      [/^An outage of more than 2\.4s may end/, null, 5_000],
    ],
    quiet: [
      [seconds(20, 5, 3), 35_000],
      [null, 0],
    ],
  },
  "unit-rounding": {
    warned: [
      [/idle in whole seconds: 1500ms becomes 1s/, { idleMs: 1_500, intervalMs: 1_000, count: 3 }, 0],
      [/interval in whole seconds: 2750ms becomes 2s/, { idleMs: 2_000, intervalMs: 2_750, count: 3 }, 0],
    ],
    quiet: [[seconds(1, 1, 3), 1_500]],
  },
};

function warningsOf([keepalive, userTimeoutMs, path]: Case): readonly Warning[] {
  const options: DescribeOptions = path === undefined ? {} : { path };
  return describeSettings({ keepalive, userTimeoutMs }, options).warnings;
}

for (const [code, { warned, quiet }] of Object.entries(cases))
  describe(code, () => {
    for (const [pattern, ...settings] of warned)
      test(`warns of ${JSON.stringify(settings)}`, () => {
        const messages = warningsOf(settings).filter((warning) => warning.code === code);
        assert.equal(messages.length, 1);
        assert.match(messages[0]?.message ?? "", pattern);
      });
    for (const settings of quiet)
      test(`has nothing to say of ${JSON.stringify(settings)}`, () => {
        assert.ok(!warningsOf(settings).some((warning) => warning.code === code));
      });
  });

function littleIn(plan: Plan): boolean {
  return plan.warnings.some(({ code }) => code === "rides-out-little");
}

test("an outage that was asked for by name is never called little", () => {
  assert.ok(littleIn(planDetection({ detectWithin: "6s" })));
  assert.ok(!littleIn(planDetection({ detectWithin: "6s", outage: "1s" })));
});

test("every message is one line of whole sentences", () => {
  for (const { warned } of Object.values(cases))
    for (const [, ...settings] of warned)
      for (const { message } of warningsOf(settings)) assert.match(message, /^[A-Za-z][^\n]*\.$/);
});
