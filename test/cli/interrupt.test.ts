import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";

const interrupt = new URL("../../src/cli/interrupt.js", import.meta.url).href;
const errors = new URL("../../src/errors.js", import.meta.url).href;

/** Work that waits for its abort and then takes a moment to clean up. */
const program = `
import { interruptible } from "${interrupt}";
import { DeadpeerError } from "${errors}";
await interruptible(async (signal) => {
  setInterval(() => {}, 1_000);
  process.stdout.write("ready");
  await new Promise((resolve) => signal.addEventListener("abort", resolve));
  await new Promise((resolve) => setTimeout(resolve, 20));
  process.stdout.write(" cleaned");
  throw new DeadpeerError("aborted", "interrupted: nothing was changed");
});
`;

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
  test(`after ${signal} the work cleans up, and the signal ends the process`, async () => {
    const child = spawn(process.execPath, ["--input-type=module", "--eval", program]);
    let stdout = "";
    let stderr = "";
    child.stderr.on("data", (text: Buffer) => (stderr += text.toString()));
    child.stdout.on("data", (text: Buffer) => {
      if (stdout === "") child.kill(signal);
      stdout += text.toString();
    });
    const [, endedBy] = (await once(child, "close")) as [number | null, string | null];
    assert.equal(endedBy, signal);
    assert.equal(stdout, "ready cleaned");
    assert.equal(stderr, "deadpeer: interrupted: nothing was changed\n");
  });
