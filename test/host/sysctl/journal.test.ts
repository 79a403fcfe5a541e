import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { readJournal, recorded, writeJournal } from "../../../src/host/sysctl/journal.js";

const place = { namespaceId: "1", namespacePath: "/run/netns/a", name: "net.ipv4.tcp_keepalive_time" };
const changed = (before: number, after: number) => ({ ...place, before, after });

describe("what the journal remembers", () => {
  test("the first original survives further changes", () => {
    const once = recorded([], [changed(7_200, 60)]);
    assert.deepEqual(recorded(once, [changed(60, 30)]), [{ ...place, original: 7_200, written: 30 }]);
  });
  test("a change back to the original leaves nothing to undo", () => {
    assert.deepEqual(recorded(recorded([], [changed(7_200, 60)]), [changed(60, 7_200)]), []);
  });
  test("what somebody else wrote in between is the new original", () => {
    const once = recorded([], [changed(7_200, 60)]);
    assert.deepEqual(recorded(once, [changed(500, 30)]), [{ ...place, original: 500, written: 30 }]);
  });
  test("namespaces and names do not mix", () => {
    const other = { ...changed(7_200, 60), namespaceId: "2" };
    assert.equal(recorded([], [changed(7_200, 60), other]).length, 2);
  });
});

describe("the journal's file", () => {
  let directory: string;
  before(() => {
    directory = mkdtempSync(join(tmpdir(), "deadpeer-test-"));
  });
  after(() => rmSync(directory, { recursive: true }));

  test("is read as it was written, leaves no temporary file, and goes when nothing is left to undo", () => {
    const path = join(directory, "new", "sysctl.json");
    const entries = recorded([], [changed(7_200, 60)]);
    writeJournal(entries, path);
    assert.deepEqual(readJournal(path), entries);
    writeJournal([], path);
    assert.deepEqual(readdirSync(join(directory, "new")), []);
    writeJournal([], path);
  });

  for (const text of ["", "{", "null", "[]", '{"version":2,"entries":[]}', '{"version":1,"entries":[{}]}'])
    test(`refuses to take ${JSON.stringify(text)} for a journal`, () => {
      const path = join(directory, "foreign.json");
      writeFileSync(path, text);
      assert.throws(() => readJournal(path), { code: "file-conflict" });
    });
});
