import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import {
  deadRuns,
  forgetDeadRuns,
  keepEntries,
  readRuns,
  type Run,
  type RunEntry,
  RunWriter,
} from "../../../src/host/repair/run.js";

function entry(cookie: number): RunEntry {
  return {
    cookie: String(cookie),
    netnsId: "4026531840",
    local: { address: "2001:db8::1", port: 443 },
    remote: { address: "2001:db8::2", port: 50_000 },
    before: [0, 7_200_000, 75_000, 9, 0],
    after: [1, 20_000, 5_000, 3, 35_000],
  };
}

describe("what a run has changed", () => {
  let folder = "";
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "deadpeer-runs-"))));
  afterEach(() => rmSync(folder, { recursive: true }));

  function only(): Run {
    const [run, ...others] = readRuns(folder);
    assert.ok(run !== undefined && others.length === 0);
    return run;
  }

  test("is read as it was written, in parts, the oldest run first", () => {
    const first = new RunWriter(folder, "set --pid 1");
    const second = new RunWriter(folder, "set --pid 2");
    second.add([entry(3)]);
    first.add([entry(1)]);
    first.add([{ ...entry(2), carefully: true }]);
    const runs = readRuns(folder);
    assert.deepEqual(new Set(runs.map(({ id }) => id)), new Set([first.id, second.id]));
    const read = runs.find(({ id }) => id === first.id);
    assert.equal(read?.label, "set --pid 1");
    assert.deepEqual(read?.entries, [entry(1), { ...entry(2), carefully: true }]);
    assert.ok((runs[0]?.monotonicMs ?? 0) <= (runs[1]?.monotonicMs ?? 0));
  });

  test("leaves no file before there is an entry", () => {
    new RunWriter(folder, "set").add([]);
    assert.deepEqual(readdirSync(folder), []);
  });

  test("is read up to where its writer was killed, at every byte", () => {
    const writer = new RunWriter(folder, "set");
    writer.add([entry(1)]);
    writer.add([entry(2)]);
    const path = join(folder, `${writer.id}.jsonl`);
    const text = readFileSync(path);
    const lines = text.toString().split("\n").length - 1;
    assert.equal(lines, 3);
    for (let length = 0; length <= text.length; length++) {
      writeFileSync(path, text.subarray(0, length));
      const whole = text.subarray(0, length).toString().split("\n").length - 1;
      const entries = readRuns(folder).flatMap((run) => run.entries);
      assert.deepEqual(entries, [entry(1), entry(2)].slice(0, Math.max(0, whole - 1)));
    }
  });

  test("can be cut down to what is left, and forgotten", () => {
    const writer = new RunWriter(folder, "set");
    writer.add([entry(1), entry(2)]);
    const run = only();
    keepEntries(folder, run, [entry(2)]);
    assert.deepEqual(only(), { ...run, entries: [entry(2)] });
    keepEntries(folder, run, []);
    assert.deepEqual(readdirSync(folder), []);
    writer.add([entry(3)]);
    assert.deepEqual(only().entries, [entry(3)]);
    writer.forget();
    assert.deepEqual(readdirSync(folder), []);
  });

  test("is none of another boot's", () => {
    const writer = new RunWriter(folder, "set");
    writer.add([entry(1)]);
    const path = join(folder, `${writer.id}.jsonl`);
    writeFileSync(path, readFileSync(path, "utf8").replace(/"bootId":"[^"]+"/, '"bootId":"another"'));
    assert.deepEqual(readRuns(folder), []);
    const unwritten = join(folder, "abcd.jsonl");
    writeFileSync(unwritten, "");
    assert.deepEqual(
      new Map(deadRuns(folder).map((dead) => [dead.path, dead.why])),
      new Map([
        [path, "earlier-boot"],
        [unwritten, "unwritten"],
      ]),
    );
    forgetDeadRuns(folder);
    assert.deepEqual(readdirSync(folder), []);
  });

  test("is not made of what somebody else has put there", () => {
    for (const text of ["hello\n", '{"deadpeer":"set"}\n', "null\n", "[]\n"]) {
      writeFileSync(join(folder, "abcd.jsonl"), text);
      assert.throws(() => readRuns(folder), { code: "file-conflict" }, text);
    }
    rmSync(join(folder, "abcd.jsonl"));
    const writer = new RunWriter(folder, "set");
    writer.add([entry(1)]);
    appendFileSync(
      join(folder, `${writer.id}.jsonl`),
      `${JSON.stringify({ ...entry(2), before: [0, 1] })}\n`,
    );
    assert.throws(() => readRuns(folder), { code: "file-conflict" });
  });

  test("of a folder that is not there is nothing", () =>
    assert.deepEqual(readRuns(join(folder, "none")), []));
});
