import assert from "node:assert/strict";
import { chownSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { lockRuns, makeRunsFolder } from "../../../src/host/repair/folder.js";
import { needsRoot } from "../../kernel/support.js";

describe("the folder of runs", () => {
  let home = "";
  beforeEach(() => (home = mkdtempSync(join(tmpdir(), "deadpeer-folder-"))));
  afterEach(() => rmSync(home, { recursive: true }));

  test("is made with its parent, and found again", () => {
    const folder = join(home, "deadpeer", "set");
    makeRunsFolder(folder);
    makeRunsFolder(folder);
    assert.ok(statSync(folder).isDirectory());
  });

  test("is refused where something else stands in its place", () => {
    writeFileSync(join(home, "file"), "");
    symlinkSync(home, join(home, "link"));
    for (const name of ["file", "link"])
      assert.throws(() => makeRunsFolder(join(home, name)), { code: "file-conflict" });
  });

  test("is refused where another user has put it, or its parent", { skip: needsRoot }, () => {
    mkdirSync(join(home, "theirs", "set"), { recursive: true });
    chownSync(join(home, "theirs"), 65_534, 65_534);
    assert.throws(() => makeRunsFolder(join(home, "theirs", "set")), { code: "file-conflict" });
    mkdirSync(join(home, "ours", "set"), { recursive: true });
    chownSync(join(home, "ours", "set"), 65_534, 65_534);
    assert.throws(() => makeRunsFolder(join(home, "ours", "set")), { code: "file-conflict" });
  });

  test("is had by one at a time", async () => {
    const folder = join(home, "set");
    const first = await lockRuns(folder);
    let waits = 0;
    const second = lockRuns(folder, undefined, () => (waits += 1));
    await assert.rejects(lockRuns(folder, AbortSignal.timeout(120)), { code: "aborted" });
    assert.equal(waits, 1);
    first[Symbol.dispose]();
    (await second)[Symbol.dispose]();
  });
});
