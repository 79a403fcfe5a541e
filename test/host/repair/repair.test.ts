import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { type FilterOptions, parseFilter } from "../../../src/host/filter.js";
import { lockRuns } from "../../../src/host/repair/folder.js";
import { type Repair, repair, type RepairOptions } from "../../../src/host/repair/repair.js";
import { repairRuns, type Undo, undoRepair } from "../../../src/host/repair/undo.js";
import { watchRepair } from "../../../src/host/repair/watch.js";
import type { SettingsChange } from "../../../src/plan/settings.js";
import { needsRoot } from "../../kernel/support.js";
import { type Options, PythonSockets, times } from "./python-sockets.js";

const planned: SettingsChange = {
  keepalive: { idleMs: 20_000, intervalMs: 5_000, count: 3 },
  userTimeoutMs: 35_000,
};
const asPlanned: Options = [1, 20, 5, 3, 35_000];

/** Both families and IPv4 through an IPv6 socket; one has settings of its own, one keepalive only, the rest nothing. */
const everyKind = String.raw`
l4, c4, a4 = pair()
l6, c6, a6 = pair(S.AF_INET6, "::1")
lm, cm, am = pair(S.AF_INET6, "::ffff:127.0.0.1")
for o in ((1, 9, 1), (6, 4, 60), (6, 5, 7), (6, 6, 4), (6, 18, 12345)): c6.setsockopt(*o)
a4.setsockopt(1, 9, 1)
am.setsockopt(6, 4, 99); am.setsockopt(6, 18, 1)
kept = [l4, l6, lm, c4, a4, c6, a6, cm, am]
`;

function outcomes(done: Repair | Undo): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { outcome } of "sockets" in done ? done.sockets : done.connections)
    counts[outcome] = (counts[outcome] ?? 0) + 1;
  return counts;
}

describe("live sockets of another program", { skip: needsRoot }, () => {
  let folder = "";
  let disposables: PythonSockets[] = [];
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "deadpeer-repair-"))));
  afterEach(async () => {
    for (const one of disposables) await one[Symbol.asyncDispose]();
    disposables = [];
    rmSync(folder, { recursive: true });
  });

  async function hold(making: string): Promise<PythonSockets> {
    const sockets = await PythonSockets.hold(making);
    disposables.push(sockets);
    return sockets;
  }

  function mend(
    { pid, namespace }: PythonSockets,
    options: Partial<RepairOptions> & { readonly filters?: FilterOptions } = {},
  ): Promise<Repair> {
    const { filters, ...rest } = options;
    return repair({
      filter: parseFilter({ pid: [String(pid)], ...filters }),
      namespaces: [namespace],
      change: planned,
      folder,
      ...rest,
    });
  }

  async function undo(options: Parameters<typeof undoRepair>[0] = {}): Promise<Undo> {
    const undone = await undoRepair({ folder, ...options });
    assert.ok(undone);
    return undone;
  }

  test("get what was asked for, and back exactly what they had", async () => {
    const python = await hold(everyKind);
    const before = await python.options();
    const done = await mend(python);
    assert.deepEqual(outcomes(done), { changed: 6 });
    const after = await python.options();
    assert.deepEqual(after.slice(0, 3), before.slice(0, 3), "listeners were not meant");
    assert.deepEqual(after.slice(3), times(6, asPlanned));

    const own = done.connections.find(({ before: held }) => held?.userTimeoutMs === 12_345);
    assert.ok(own);
    assert.deepEqual(own.before, {
      keepalive: { enabled: true, idleMs: 60_000, intervalMs: 7_000, count: 4 },
      userTimeoutMs: 12_345,
    });
    assert.equal(own.connection.detection.idleMs, 67_000);
    assert.equal(own.detectionAfter?.idleMs, 35_000);

    assert.deepEqual(
      repairRuns(folder).map(({ id }) => id),
      [done.run],
    );
    const undone = await undo();
    assert.deepEqual(outcomes(undone), { restored: 6 });
    assert.equal(undone.left, 0);
    assert.deepEqual(await python.options(), before);
    assert.equal(await undoRepair({ folder }), null);
    assert.deepEqual(readdirSync(folder), ["lock"]);
  });

  test("stay as they are in a dry run, which leaves nothing behind", async () => {
    const python = await hold(everyKind);
    const before = await python.options();
    const done = await mend(python, { dryRun: true });
    assert.deepEqual(outcomes(done), { changed: 6 });
    assert.equal(done.run, null);
    assert.equal(done.connections[0]?.after?.userTimeoutMs, 35_000);
    assert.deepEqual(await python.options(), before);
    assert.deepEqual(readdirSync(folder), []);

    await mend(python);
    const after = await python.options();
    assert.deepEqual(outcomes(await undo({ dryRun: true })), { restored: 6 });
    assert.deepEqual(await python.options(), after);
    assert.equal(repairRuns(folder).length, 1);
  });

  test("keep what was not asked for", async () => {
    const python = await hold(
      "l, c, a = pair(); c.setsockopt(1, 9, 1); c.setsockopt(6, 5, 7); kept = [c, a]",
    );
    await mend(python, { change: { userTimeoutMs: 20_000 } });
    assert.deepEqual(await python.options(), [
      [1, 7_200, 7, 9, 20_000],
      [0, 7_200, 75, 9, 20_000],
    ]);
    await mend(python, { change: { keepalive: null, userTimeoutMs: 0 } });
    assert.deepEqual(await python.options(), [
      [0, 7_200, 7, 9, 0],
      [0, 7_200, 75, 9, 0],
    ]);
  });

  test("that hold it already are none of the run's", async () => {
    const python = await hold("l, c, a = pair(); kept = [c, a]");
    await mend(python);
    const again = await mend(python);
    assert.deepEqual(outcomes(again), { unchanged: 2 });
    assert.equal(again.run, null);
    assert.equal(repairRuns(folder).length, 1);
  });

  test("are listeners too if asked, and what they accept inherits", async () => {
    const python = await hold("l, c, a = pair(); kept = [l]");
    const done = await mend(python, { filters: { state: ["listen"] } });
    assert.deepEqual(outcomes(done), { changed: 1 });
    const accepted = "[(c2 := S.socket(), c2.connect(l.getsockname()), a2 := l.accept()[0], options(a2))[3]]";
    assert.deepEqual(await python.ask(accepted), [asPlanned]);
    await undo();
    assert.deepEqual(await python.options(), [[0, 7_200, 75, 9, 0]]);
    assert.deepEqual(await python.ask(accepted), [[0, 7_200, 75, 9, 0]]);
  });

  test("that several processes share are changed once", async () => {
    const python = await hold(String.raw`
l, c, a = pair(); kept = [c, os.dup(c.fileno()) and a]
child = os.fork()
if child == 0:
    import time
    while os.getppid() != 1: time.sleep(0.05)
    os._exit(0)
import atexit, signal
`);
    const done = await mend(python, { filters: { pid: [String(python.pid)] } });
    assert.deepEqual(outcomes(done), { changed: 2 });
    for (const { connection } of done.connections)
      assert.equal(new Set(connection.processes.map(({ pid }) => pid)).size, 2);
    assert.equal(repairRuns(folder)[0]?.entries.length, 2);
    await python.ask("os.kill(child, 9)");
  });

  test("of MPTCP say that they cannot have a user timeout, and the rest is changed", async () => {
    const python = await hold("l, c, a = pair(protocol=262); _, c2, a2 = pair(); kept = [c2, a2]");
    const done = await mend(python);
    assert.deepEqual(outcomes(done), { refused: 2, changed: 2 });
    const refused = done.connections.filter(({ outcome }) => outcome === "refused");
    for (const { reason } of refused) assert.match(reason ?? "", /MPTCP/);
    assert.deepEqual(await python.options(), [asPlanned, asPlanned]);
    assert.equal(await python.ask("c.getsockopt(1, 9)"), 0);
  });

  test("that no process holds are left alone", async () => {
    // On its way from one process to another, a descriptor is in none.
    const python = await hold(String.raw`
l, c, a = pair(); kept = []
there, here = S.socketpair()
S.send_fds(there, [b"x"], [c.fileno(), a.fileno()]); c.close(); a.close()
`);
    const done = await mend(python, { filter: parseFilter({ state: ["established"] }) });
    assert.deepEqual(outcomes(done), { unheld: 2 });
    const [, sent] = (await python.ask(
      "(lambda r: [kept.extend(S.socket(fileno=f) for f in r[1]), len(r[1])])(S.recv_fds(here, 1, 2))",
    )) as [null, number];
    assert.equal(sent, 2);
    assert.deepEqual(await python.options(), times(2, [0, 7_200, 75, 9, 0]));
  });

  test("that refuse are as they were", async () => {
    const python = await hold("l, c, a = pair(); kept = [c, a]");
    const before = await python.options();
    // The kernel keeps idle times of at most 32 767 s.
    const done = await mend(python, { change: { keepalive: { idleMs: 40_000_000 }, userTimeoutMs: 5_000 } });
    assert.deepEqual(outcomes(done), { refused: 2 });
    assert.match(done.connections[0]?.reason ?? "", /TCP_KEEPIDLE/);
    assert.deepEqual(await python.options(), before);
    assert.equal(done.run, null);
    assert.deepEqual(repairRuns(folder), []);
  });

  test("are not touched without a filter", async () => {
    await assert.rejects(repair({ change: planned, folder }), { code: "bad-option" });
    await assert.rejects(repair({ change: planned, folder, filter: parseFilter({ allNetns: true }) }), {
      code: "bad-option",
    });
    const python = await hold("l, c, a = pair(); kept = [c, a]");
    await assert.rejects(mend(python, { all: true }), { code: "bad-option" });
    const done = await mend(python, { all: true, filter: parseFilter() });
    assert.deepEqual(outcomes(done), { changed: 2 });
  });

  test("of runs that overlap are led back whichever is undone first", async () => {
    const python = await hold("l, c, a = pair(); kept = [c, a]");
    const before = await python.options();
    const first = await mend(python, { change: { keepalive: { idleMs: 10_000 } } });
    const second = await mend(python, { change: { keepalive: { idleMs: 30_000 }, userTimeoutMs: 40_000 } });
    assert.deepEqual(outcomes(await undo({ run: first.run ?? "" })), { later: 2 });
    assert.deepEqual(await python.options(), times(2, [0, 30, 75, 9, 40_000]));
    assert.deepEqual(outcomes(await undo({ run: second.run ?? "" })), { restored: 2 });
    assert.deepEqual(await python.options(), before);
  });

  test("keep what their program has set since", async () => {
    const python = await hold("l, c, a = pair(); kept = [c, a]");
    await mend(python);
    await python.ask("c.setsockopt(6, 6, 8)");
    const undone = await undo();
    assert.deepEqual(outcomes(undone), { "changed-since": 1, restored: 1 });
    assert.deepEqual(await python.options(), [
      [0, 7_200, 75, 8, 0],
      [0, 7_200, 75, 9, 0],
    ]);
    assert.deepEqual(repairRuns(folder), []);
  });

  test("that have ended are no error, nor is a socket in their place", async () => {
    const python = await hold("l, c, a = pair(); kept = [c, a]");
    const done = await mend(python);
    await python.ask("[c.close(), a.close()]");
    await python.ask("[kept.clear(), kept.extend(pair()[1:])][0]");
    assert.deepEqual(outcomes(await undo({ run: done.run ?? "" })), { gone: 2 });
    assert.deepEqual(await python.options(), times(2, [0, 7_200, 75, 9, 0]));
    const last = await mend(python);
    await python[Symbol.asyncDispose]();
    assert.deepEqual(outcomes(await undo({ run: last.run ?? "" })), { gone: 2 });
  });

  test("of a run that there is not are not looked for; those that there are, are named", async () => {
    const python = await hold("l, c, a = pair(); kept = [c, a]");
    const { run } = await mend(python, { label: "set --pid 1 --detect 35s" });
    await assert.rejects(undoRepair({ folder, run: "nope" }), (error: Error & { code: string }) => {
      assert.equal(error.code, "bad-option");
      assert.ok(error.message.includes(`${run} (set --pid 1 --detect 35s`), error.message);
      return true;
    });
  });

  test("wait for whoever else changes sockets", async () => {
    const python = await hold("l, c, a = pair(); kept = [c, a]");
    const lock = await lockRuns(folder);
    let waits = 0;
    const later = mend(python, { onWait: () => (waits += 1) });
    await assert.rejects(mend(python, { signal: AbortSignal.timeout(150) }), { code: "aborted" });
    assert.deepEqual((await python.options())[0], [0, 7_200, 75, 9, 0]);
    lock[Symbol.dispose]();
    assert.deepEqual(outcomes(await later), { changed: 2 });
    assert.equal(waits, 1);
  });

  test("are left alone after a signal, and what was changed by then can be undone", async () => {
    const python = await hold(String.raw`
l = S.socket(); l.bind(("127.0.0.1", 0)); l.listen(4096)
for _ in range(600):
    c = S.socket(); c.connect(l.getsockname()); kept += [c, l.accept()[0]]
`);
    const before = await python.options();
    const controller = new AbortController();
    const change = {
      ...planned,
      // Read once for each socket, from the very first on.
      get userTimeoutMs() {
        controller.abort();
        return 35_000;
      },
    };
    await assert.rejects(mend(python, { change, signal: controller.signal }), (error: Error) => {
      assert.match(error.message, /^interrupted: 256 connections were changed; .* --undo [0-9a-f]{4}$/);
      return true;
    });
    const during = await python.options();
    assert.equal(during.filter(([enabled]) => enabled === 1).length, 256);
    assert.deepEqual(outcomes(await undo()), { restored: 256 });
    assert.deepEqual(await python.options(), before);
  });

  test("get it as they appear, each once", { timeout: 20_000 }, async () => {
    const python = await hold("l, c, a = pair(); kept = [c, a]");
    const ended = new AbortController();
    const seen: number[] = [];
    const filter = parseFilter({ pid: [String(python.pid)] });
    const looks = watchRepair({
      filter,
      namespaces: [python.namespace],
      change: planned,
      folder,
      intervalMs: 20,
      signal: ended.signal,
    });
    let made = 0;
    for await (const { connections } of looks) {
      if (connections.length > 0) seen.push(connections.length);
      if (made === 0) {
        made = 1;
        // What its program sets afterwards stays.
        await python.ask("[c.setsockopt(1, 9, 0)]");
        await python.ask("[kept.extend(pair(S.AF_INET6, '::1')[1:])]");
      } else if (seen.length >= 2) {
        made += 1;
        if (made === 5) ended.abort();
      }
    }
    assert.deepEqual(seen, [2, 2]);
    const options = await python.options();
    assert.deepEqual(options, [[0, 20, 5, 3, 35_000], asPlanned, asPlanned, asPlanned]);
    const [run, ...others] = repairRuns(folder);
    assert.equal(others.length, 0);
    assert.equal(run?.entries.length, 4);
  });

  test("are watched no longer than there is a process", { timeout: 20_000 }, async () => {
    const python = await hold("l, c, a = pair(); kept = [c, a]");
    const filter = parseFilter({ pid: [String(python.pid)] });
    let looks = 0;
    for await (const _ of watchRepair({ filter, all: false, change: planned, folder, intervalMs: 20 })) {
      looks++;
      if (looks === 2) await python[Symbol.asyncDispose]();
    }
    assert.ok(looks >= 2);
  });
});
