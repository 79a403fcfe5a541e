import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { checkout, cli } from "../support/checkout.js";

const snapshot = `${checkout}test/cli/help.txt`;

const commands = [
  [],
  ["plan"],
  ["ls"],
  ["advise"],
  ["run"],
  ["policy"],
  ["policy", "add"],
  ["policy", "list"],
  ["policy", "apply-existing"],
  ["policy", "remove"],
  ["set"],
  ["kill"],
  ["sysctl"],
  ["sysctl", "show"],
  ["sysctl", "set"],
  ["sysctl", "persist"],
  ["sysctl", "unpersist"],
  ["watch"],
  ["explain"],
  ["nat"],
  ["http"],
  ["http", "chain"],
  ["echo"],
  ["lab"],
  ["lab", "list"],
  ["lab", "run"],
  ["lab", "report"],
  ["lab", "shell"],
];

/** To accept a change on purpose: UPDATE_SNAPSHOTS=1 npm test -- cli/help */
test("what --help prints is what was agreed on", () => {
  const printed = commands
    .map((command) => {
      const args = [...command, "--help"];
      const { status, stdout, stderr } = spawnSync(process.execPath, [cli, ...args], { encoding: "utf8" });
      assert.equal(status, 0, stderr);
      assert.equal(stderr, "");
      return `$ deadpeer ${args.join(" ")}\n${stdout}`;
    })
    .join("\n");
  if (process.env["UPDATE_SNAPSHOTS"] === "1") writeFileSync(snapshot, printed);
  assert.equal(printed, readFileSync(snapshot, "utf8"));
});
