import assert from "node:assert/strict";
import { test } from "node:test";
import type { SettingsOptions } from "../../src/cli/settings-options.js";
import { readSettingsRequest } from "../../src/cli/settings-request.js";
import { DeadpeerError, type ErrorCode } from "../../src/errors.js";
import { planDetection } from "../../src/plan/planner.js";

function refused(options: SettingsOptions, code: ErrorCode, message: RegExp): void {
  assert.throws(
    () => readSettingsRequest(options, "set --pid 1"),
    (error) => error instanceof DeadpeerError && error.code === code && message.test(error.message),
  );
}

test("--detect asks for a whole plan, with its warnings", () => {
  const { change, plan, warnings } = readSettingsRequest(
    { detect: "35s", path: ["aws-nlb"], outage: "5s" },
    "run",
  );
  const planned = planDetection({ detectWithin: "35s", path: ["aws-nlb"], outage: "5s" });
  assert.deepEqual(change, planned.settings);
  assert.deepEqual(plan, planned);
  assert.deepEqual(warnings, planned.warnings);
});

const changeFor = (options: SettingsOptions): unknown => readSettingsRequest(options, "run").change;

test("settings given one by one change only themselves", () => {
  assert.deepEqual(changeFor({ userTimeout: "30s" }), { userTimeoutMs: 30_000 });
  assert.deepEqual(changeFor({ userTimeout: "0" }), { userTimeoutMs: 0 });
  assert.deepEqual(changeFor({ idle: "1m" }), { keepalive: { idleMs: 60_000 } });
  assert.deepEqual(changeFor({ count: "3", interval: "5s", userTimeout: "30s" }), {
    keepalive: { intervalMs: 5_000, count: 3 },
    userTimeoutMs: 30_000,
  });
});

test("what the kernel keeps more coarsely is said", () => {
  const { change, warnings } = readSettingsRequest({ idle: "1500ms" }, "run");
  assert.deepEqual(change, { keepalive: { idleMs: 1_000 } });
  assert.deepEqual(
    warnings.map(({ code }) => code),
    ["unit-rounding"],
  );
});

test("contradictions, gaps and what the kernel refuses", () => {
  refused({ detect: "35s", idle: "1m", userTimeout: "1m" }, "bad-option", /leave out --idle, --user-timeout/);
  refused({}, "bad-option", /as in set --pid 1 --detect 35s/);
  refused({ path: ["aws-nlb"] }, "bad-option", /as in set --pid 1 --detect 35s/);
  refused({ idle: "1m", path: ["aws-nlb"] }, "bad-option", /--path and --outage/);
  refused({ idle: "1m", outage: "1s" }, "bad-option", /--path and --outage/);
  refused({ count: "128" }, "value-refused", /count 128/);
  refused({ idle: "500ms" }, "value-refused", /idle 500ms/);
  refused({ userTimeout: "25d" }, "value-refused", /user timeout/);
  refused({ idle: "60" }, "bad-duration", /no unit/);
  refused({ detect: "35s", path: ["aws-nlbb"] }, "unknown-path", /aws-nlb/);
});
