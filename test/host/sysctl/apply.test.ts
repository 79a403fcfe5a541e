import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { applyChanges, pendingChanges, type SysctlChange } from "../../../src/host/sysctl/apply.js";
import { readJournal } from "../../../src/host/sysctl/journal.js";
import { planUndo, undo } from "../../../src/host/sysctl/undo.js";
import { inNamespace, namespaceAt, type NetworkNamespace } from "../../../src/kernel/namespaces.js";
import { writeSysctl } from "../../../src/kernel/sysctl.js";
import { Sandbox } from "../../support/sandbox.js";

const time = "net.ipv4.tcp_keepalive_time";
const retries2 = "net.ipv4.tcp_retries2";

describe("writing sysctls, all or nothing", { skip: Sandbox.missing() }, () => {
  let sandbox: Sandbox;
  let namespace: NetworkNamespace;
  let directory: string;
  let journal: string;

  before(async () => {
    sandbox = await Sandbox.open();
    namespace = namespaceAt(sandbox.netns);
  });
  after(async () => sandbox[Symbol.asyncDispose]());
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "deadpeer-test-"));
    journal = join(directory, "sysctl.json");
    inNamespace(namespace, () => {
      writeSysctl(time, 7_200);
      writeSysctl(retries2, 15);
    });
  });

  afterEach(() => rmSync(directory, { recursive: true }));

  const change = (name: string, before: number, after: number): SysctlChange => ({
    namespace,
    name,
    before,
    after,
  });
  const held = (): number[] => [sandbox.sysctl("tcp_keepalive_time"), sandbox.sysctl("tcp_retries2")];

  test("only what differs is pending", () => {
    const pending = pendingChanges(
      [namespace],
      [
        { name: time, value: 60 },
        { name: retries2, value: 15 },
      ],
    );
    assert.deepEqual(pending, [change(time, 7_200, 60)]);
  });

  test("set, set again, undo: the oldest original comes back", async () => {
    await applyChanges([change(time, 7_200, 60), change(retries2, 15, 8)], { journal });
    await applyChanges([change(time, 60, 30)], { journal });
    assert.deepEqual(held(), [30, 8]);
    await undo(planUndo(null, journal), { journal });
    assert.deepEqual(held(), [7_200, 15]);
    assert.deepEqual(readJournal(journal), []);
  });

  test("a value that the kernel refuses puts back the ones before it", async () => {
    // tcp_retries2 is a byte.
    await assert.rejects(applyChanges([change(time, 7_200, 60), change(retries2, 15, 256)], { journal }), {
      code: "value-refused",
    });
    assert.deepEqual(held(), [7_200, 15]);
    assert.deepEqual(readJournal(journal), []);
  });

  test("a failure keeps what an earlier success recorded", async () => {
    await applyChanges([change(time, 7_200, 60)], { journal });
    await assert.rejects(applyChanges([change(time, 60, 30), change(retries2, 15, 256)], { journal }));
    assert.deepEqual(held(), [60, 15]);
    assert.deepEqual(
      readJournal(journal).map(({ original, written }) => [original, written]),
      [[7_200, 60]],
    );
  });

  test("an abort between two writes puts back the first", async () => {
    const controller = new AbortController();
    let seen: number[] = [];
    // The first write has happened once a turn of the event loop has passed after the start.
    const done = applyChanges([change(time, 7_200, 60), change(retries2, 15, 8)], {
      journal,
      signal: controller.signal,
    });
    setImmediate(() => {
      seen = held();
      controller.abort();
    });
    await assert.rejects(done, { code: "aborted" });
    assert.deepEqual(seen, [60, 15]);
    assert.deepEqual(held(), [7_200, 15]);
    assert.deepEqual(readJournal(journal), []);
  });

  test("undo leaves alone what somebody else has changed since", async () => {
    await applyChanges([change(time, 7_200, 60)], { journal });
    inNamespace(namespace, () => writeSysctl(time, 500));
    const plan = planUndo(null, journal);
    assert.deepEqual(plan.changes, []);
    assert.deepEqual(
      plan.changedSince.map(({ now, original }) => [now, original]),
      [[500, 7_200]],
    );
  });

  test("undo can be limited to some namespaces and keeps the others in mind", async () => {
    await applyChanges([change(time, 7_200, 60)], { journal });
    const plan = planUndo([], journal);
    assert.equal(plan.notAsked.length, 1);
    await undo(plan, { journal });
    assert.equal(readJournal(journal).length, 1);
    assert.deepEqual(held(), [60, 15]);
  });
});
