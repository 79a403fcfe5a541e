import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { openSync } from "node:fs";
import { describe, test } from "node:test";
import { cli } from "../support/checkout.js";

const linuxOnly = process.platform === "linux" ? {} : { skip: "/dev/full is Linux's" };

describe("streams that take nothing", () => {
  test("a full disk behind stdout is one line and status 3", linuxOnly, () => {
    for (const args of [["plan", "--detect", "35s"], ["plan", "--detect", "35s", "--json"], ["--help"]]) {
      const { status, stderr } = spawnSync(process.execPath, [cli, ...args], {
        stdio: ["ignore", openSync("/dev/full", "w"), "pipe"],
        encoding: "utf8",
      });
      assert.match(stderr, /^deadpeer: cannot write to stdout: ENOSPC[^\n]+\n$/);
      assert.equal(status, 3);
    }
  });

  test("a full disk behind stderr leaves the exit status as it is", linuxOnly, () => {
    const { status } = spawnSync(process.execPath, [cli, "plan", "--detect", "35"], {
      stdio: ["ignore", "pipe", openSync("/dev/full", "w")],
    });
    assert.equal(status, 2);
  });

  test("a reader of stderr that has gone leaves the exit status as it is", async () => {
    const child = spawn(process.execPath, [cli, "plan", "--detect", "35"]);
    child.stderr.destroy();
    const [status] = (await once(child, "close")) as [number | null];
    assert.equal(status, 2);
  });
});

test("what a message quotes breaks no line and drives no terminal", () => {
  const quoted = "a\nb\u001B[31m\u009B";
  for (const args of [
    ["plan", "--detect", quoted],
    ["plan", "--detect", "35s", "--for", quoted],
    ["plan", "--detect", "35s", "--path", quoted],
    [quoted],
    ["plan", `--${quoted}`],
  ]) {
    const { status, stderr } = spawnSync(process.execPath, [cli, ...args], { encoding: "utf8" });
    assert.match(stderr, /^deadpeer: \P{Cc}+a\\x0ab\\x1b\[31m\\x9b\P{Cc}+\n$/u);
    assert.equal(status, 2);
  }
});
