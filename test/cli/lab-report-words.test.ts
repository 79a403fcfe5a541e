import assert from "node:assert/strict";
import { test } from "node:test";
import { settingsWords } from "../../src/cli/lab-report/settings-words.js";
import { stepWords } from "../../src/cli/lab-report/step-words.js";
import { builtinScenarios } from "../../src/lab/index.js";
import { actions } from "../../src/lab/scenario/schema.js";

test("every action that a scenario can take has words of its own", () => {
  for (const action of Object.keys(actions)) {
    if (action === "snapshot") continue;
    assert.notEqual(stepWords(action, {})?.text, action);
  }
});

test("every step of the scenarios that come with deadpeer reads as a sentence, with nothing missing", () => {
  for (const { name, steps } of builtinScenarios())
    for (const step of steps) {
      const { at: _at, name: _name, ...rest } = step as unknown as Record<string, unknown>;
      const [[action, details] = ["", null]] = Object.entries(rest);
      const words = stepWords(action, details);
      if (words !== null)
        assert.doesNotMatch(words.text, /undefined|null|NaN|\{|  |^ | $/, `${name}: ${action}`);
    }
});

test("some steps in words", () => {
  assert.deepEqual(stepWords("drop", { between: ["client", "server"], port: 7000, share: 30 }), {
    text: "30 % of the packets between client and server (port 7000) are dropped",
    tone: "fault",
  });
  assert.equal(
    stepWords("reject", { from: "client", to: "server", with: "rst" })?.text,
    "packets from client to server are rejected: rst",
  );
  assert.equal(stepWords("write", { program: "server", text: "hello?" })?.text, "server writes “hello?”");
  assert.equal(stepWords("heal", { fault: "cut" })?.tone, "heal");
  assert.equal(stepWords("snapshot", { program: "client" }), null);
});

test("settings in words", () => {
  assert.equal(settingsWords(null), "no keepalive");
  assert.equal(settingsWords({ userTimeout: 2_000 }), "no keepalive; user timeout 2s");
  assert.equal(
    settingsWords({ idle: 1_000, interval: 1_000, count: 3 }),
    "keepalive idle 1s, interval 1s, count 3",
  );
});
