import assert from "node:assert/strict";
import { test } from "node:test";
import { isOrphaned, newOwnedName } from "../../src/kernel/owned-names.js";
import { pidNamespace } from "../../src/kernel/processes.js";

const gone = `99999999999-${pidNamespace()}`;

test("names tell who owns what", () => {
  assert.equal(isOrphaned(`dp-lab-1-${gone}-1-client`, "lab"), true);
  assert.equal(isOrphaned(`dp-watch-1-${gone}-1`, "watch"), true);
  assert.equal(
    isOrphaned(`dp-lab-${process.pid}-1-${pidNamespace()}-1-client`, "lab"),
    true,
    "the number is used again by another process",
  );
  for (const other of [
    "dp-lab",
    "dp-lab-client",
    "dp-test-1-1-client",
    "blue",
    "dp-lab-x-1-1-1-client",
    "dp-lab-1-99999999999-1-1-elsewhere",
    `dp-run-1-${gone}-1`,
    `${newOwnedName("lab")}-client`,
  ])
    assert.equal(isOrphaned(other, "lab"), false, other);
});

test("two things of one process have two names", () => {
  assert.notEqual(newOwnedName("run"), newOwnedName("run"));
});
