import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import * as fc from "fast-check";
import { SessionFile } from "../../../src/heartbeat/session/session-file.js";

describe("sessions in a file", () => {
  const folder = mkdtempSync(join(tmpdir(), "deadpeer-sessions-"));
  after(() => rmSync(folder, { recursive: true }));
  let made = 0;
  const newPath = (): string => join(folder, "deep", `${made++}`);

  test("come back as they were", () => {
    const path = newPath();
    const file = new SessionFile(path);
    assert.deepEqual(file.load(), { secret: null, sessions: [] });
    file.keepSecret(Buffer.from("secret"));
    const journal = file.journal("a");
    for (const text of ["one", "two", "three", "four"]) journal.pushed(Buffer.from(text));
    journal.acknowledged(1);
    journal.dropped(3);
    journal.received(7);
    journal.named(Buffer.from("name"));
    journal.received(2);
    file.journal("b").pushed(Buffer.from("gone"));
    file.journal("b").ended();
    // As after a kill: nobody closes it.
    const expected = {
      secret: Buffer.from("secret"),
      sessions: [
        {
          id: "a",
          name: Buffer.from("name"),
          received: 2,
          acknowledged: 0,
          queue: [Buffer.from("two"), Buffer.from("four")],
        },
      ],
    };
    assert.deepEqual(new SessionFile(path).load(), expected);
    assert.deepEqual(new SessionFile(path).load(), expected, "nor does loading change it");
  });

  test("cut off anywhere, are what they were some lines ago, and nothing is complained about", () => {
    const path = newPath();
    const file = new SessionFile(path, { onProblem: (problem) => assert.fail(problem) });
    file.load();
    const journal = file.journal("a");
    for (let n = 1; n <= 20; n++) {
      journal.pushed(Buffer.alloc(n, n));
      if (n > 3) journal.acknowledged(n - 3);
    }
    const whole = readFileSync(path);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: whole.length }), (length) => {
        const cut = newPath();
        writeFileSync(cut.replace("/deep", ""), whole);
        truncateSync(cut.replace("/deep", ""), length);
        const { sessions } = new SessionFile(cut.replace("/deep", ""), {
          onProblem: (problem) => assert.fail(problem),
        }).load();
        const [session] = sessions;
        if (session === undefined) return;
        const numbers = session.queue.map((payload) => payload[0]);
        assert.deepEqual(
          numbers,
          numbers.map((_, index) => session.acknowledged + 1 + index),
        );
      }),
    );
  });

  for (const text of [
    "noise\n",
    "{}\n",
    '{"s":"a"}\n',
    "[]\n",
    '{"s":"a","name":"x","in":1,"acked":1,"queue":[1]}\n',
    "\0\0\0\n",
  ])
    test(`${JSON.stringify(text)} is put aside, said, and begun anew`, () => {
      const path = join(folder, `corrupt-${made++}`);
      writeFileSync(path, text);
      const problems: string[] = [];
      const file = new SessionFile(path, { onProblem: (problem) => problems.push(problem) });
      assert.deepEqual(file.load(), { secret: null, sessions: [] });
      assert.equal(problems.length, 1);
      assert.equal(readFileSync(`${path}.corrupt`, "utf8"), text);
      file.journal("a").pushed(Buffer.from("new"));
      assert.equal(new SessionFile(path).load().sessions.length, 1);
    });

  test("does not grow for ever", () => {
    const path = newPath();
    const file = new SessionFile(path);
    file.load();
    const journal = file.journal("a");
    for (let n = 1; n <= 30_000; n++) {
      journal.pushed(Buffer.from("message"));
      journal.acknowledged(n);
    }
    assert.ok(statSync(path).size < 1_000_000, `${statSync(path).size} bytes`);
    assert.equal(new SessionFile(path).load().sessions[0]?.acknowledged, 30_000);
  });

  test("a place that cannot be written to is named", () => {
    writeFileSync(join(folder, "a-file"), "");
    assert.throws(() => new SessionFile(join(folder, "a-file", "sessions")).load(), {
      code: "syscall-failed",
      message: /a-file\/sessions/,
    });
  });
});
