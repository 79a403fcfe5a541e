import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { FileLock } from "../../src/kernel/file-lock.js";
import { builtSource } from "./support.js";

const folder = mkdtempSync(join(tmpdir(), "deadpeer-lock-"));
after(() => rmSync(folder, { recursive: true }));

test("one at a time, also within a process", () => {
  const path = join(folder, "one");
  const first = FileLock.tryTake(path);
  assert(first !== null);
  assert.equal(FileLock.tryTake(path), null);
  first[Symbol.dispose]();
  using second = FileLock.tryTake(path);
  assert(second !== null);
});

test("a killed process gives it back", async () => {
  const path = join(folder, "killed");
  const holder = spawn(process.execPath, [
    "--input-type=module",
    "--eval",
    `import { FileLock } from "${new URL("kernel/file-lock.js", builtSource).href}";
     const lock = FileLock.tryTake(${JSON.stringify(path)});
     setInterval(() => lock, 1_000);
     process.stdout.write("taken");`,
  ]);
  await once(holder.stdout, "data");
  assert.equal(FileLock.tryTake(path), null);
  holder.kill("SIGKILL");
  await once(holder, "exit");
  using lock = FileLock.tryTake(path);
  assert(lock !== null);
});
