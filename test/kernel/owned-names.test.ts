import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { isOrphaned, newOwnedName, ownershipOf } from "../../src/kernel/owned-names.js";
import { pidNamespace, seesKernelNumbers } from "../../src/kernel/processes.js";
import { needsNamespaces } from "../support/namespaces.js";

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
    `dp-run-1-${gone}-1`,
    `${newOwnedName("lab")}-client`,
  ])
    assert.equal(isOrphaned(other, "lab"), false, other);
});

test("an owner in another PID namespace counts as ended only when that namespace has no process any more", {
  skip: needsNamespaces,
}, async () => {
  const holder = spawn(
    "unshare",
    ["--pid", "--fork", "--kill-child", "sh", "-c", "readlink /proc/self/ns/pid; exec cat"],
    {
      stdio: ["pipe", "pipe", "inherit"],
    },
  );
  const [said] = (await once(holder.stdout, "data")) as [Buffer];
  const id = /\d+/.exec(said.toString())?.[0] ?? "";
  const name = `dp-lab-1-99999999999-${id}-1-elsewhere`;
  assert.equal(ownershipOf(name)?.owner, "elsewhere");
  assert.equal(isOrphaned(name, "lab"), false);
  const ended = once(holder, "exit");
  holder.stdin.end();
  await ended;
  assert.equal(isOrphaned(name, "lab"), seesKernelNumbers());
});

test("two things of one process have two names", () => {
  assert.notEqual(newOwnedName("run"), newOwnedName("run"));
});
