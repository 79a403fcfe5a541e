import assert from "node:assert/strict";
import { type ChildProcessByStdio, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import * as fc from "fast-check";
import { Delivery } from "../../../src/heartbeat/session/delivery.js";
import { queueBounds } from "../../../src/heartbeat/session/outbox.js";
import { SessionFile } from "../../../src/heartbeat/session/session-file.js";
import { libcProblem } from "../../../src/kernel/libc.js";
import { VirtualClock } from "../../../src/time/virtual-clock.js";

const needsKoffi = libcProblem() === null ? false : "needs koffi";
const needsMount = process.platform === "linux" && process.getuid?.() === 0 ? false : "needs root, to mount";

/** A process that writes as fast as it can, and says now and then what is written. */
function writer(path: string): ChildProcessByStdio<null, Readable, null> {
  const program = fileURLToPath(new URL("writer.js", import.meta.url));
  return spawn(process.execPath, [program, path], { stdio: ["ignore", "pipe", "inherit"] });
}

function read(path: string): ReturnType<SessionFile["load"]> {
  const file = new SessionFile(path, { onProblem: (problem) => assert.fail(problem) });
  const kept = file.load();
  file.close();
  return kept;
}

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
    file.close();
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
    assert.deepEqual(read(path), expected);
    assert.deepEqual(read(path), expected, "nor does loading change it");
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
        writeFileSync(cut, whole.subarray(0, length));
        const [session] = read(cut).sessions;
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
      file.close();
      assert.equal(read(path).sessions.length, 1);
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
    file.close();
    assert.equal(read(path).sessions[0]?.acknowledged, 30_000);
  });

  test("belong to one at a time, in this process or another", { skip: needsKoffi }, async () => {
    const path = newPath();
    const file = new SessionFile(path);
    file.load();
    const inUse = { code: "file-in-use", message: /is in use/ };
    assert.throws(() => new SessionFile(path).load(), inUse);
    file.close();
    const other = writer(path);
    await once(other.stdout, "data");
    assert.throws(() => new SessionFile(path).load(), inUse);
    other.kill("SIGKILL");
    await once(other, "exit");
    assert.equal(read(path).sessions.length, 1, "a killed one has given it back");
  });

  test("of a process that is killed at any moment, are what they were then", {
    timeout: 60_000,
  }, async () => {
    const path = newPath();
    let from = 0;
    for (let round = 0; round < 6; round++) {
      const child = writer(path);
      let told = "";
      child.stdout.setEncoding("utf8").on("data", (text: string) => (told += text));
      await once(child.stdout, "data");
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 300));
      child.kill("SIGKILL");
      await once(child, "close");
      const [session] = read(path).sessions;
      const { acknowledged = 0, queue = [] } = session ?? {};
      const numbers = queue.map((payload) => Number(payload.toString()));
      assert.deepEqual(
        numbers,
        numbers.map((_, index) => acknowledged + 1 + index),
      );
      const given = acknowledged + queue.length;
      // Its last line may be half a number; the one before is whole.
      const said = Number(told.split("\n").at(-2));
      assert.ok(given >= said && given > from, `${given} of at least ${said}, after ${from}`);
      from = given;
    }
  });

  test("of an earlier end in the middle of writing anew, are not taken from the draft", () => {
    const path = newPath();
    const file = new SessionFile(path);
    file.load();
    file.journal("a").pushed(Buffer.from("kept"));
    file.close();
    writeFileSync(`${path}.new`, '{"s":"a","name":"","in":0,"ack');
    assert.deepEqual(
      read(path).sessions.map(({ queue }) => queue.map(String)),
      [["kept"]],
    );
  });

  test("on a full disk: the call throws, nothing counts as given, and the file stays whole", {
    skip: needsMount,
  }, () => {
    const place = mkdtempSync(join(tmpdir(), "deadpeer-full-"));
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "deadpeer-test", place]);
    try {
      const path = join(place, "sessions");
      const file = new SessionFile(path, { sync: true });
      file.load();
      const delivery = new Delivery({
        clock: new VirtualClock(),
        bounds: queueBounds(),
        journal: file.journal("a"),
        onData: () => {},
        onDropped: () => {},
      });
      let given = 0;
      const big = Buffer.alloc(10_000, 1);
      assert.throws(
        () => {
          for (; given < 100; given++) delivery.push(big);
        },
        { code: "syscall-failed", errno: "ENOSPC", message: /sessions/ },
      );
      assert.equal(delivery.given, given);
      delivery.push(Buffer.from("small"));
      file.close();
      // Writing anew takes room as well.
      execFileSync("mount", ["-o", "remount,size=1m", place]);
      assert.deepEqual(
        read(path).sessions[0]?.queue.map(({ length }) => length),
        [...Array.from({ length: given }, () => big.length), 5],
      );
    } finally {
      execFileSync("umount", [place]);
      rmSync(place, { recursive: true });
    }
  });

  test("a place that cannot be written to is named", () => {
    writeFileSync(join(folder, "a-file"), "");
    assert.throws(() => new SessionFile(join(folder, "a-file", "sessions")).load(), {
      code: "syscall-failed",
      message: /a-file\/sessions/,
    });
  });
});
