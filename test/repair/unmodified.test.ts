import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { newOwnedName } from "../../src/kernel/owned-names.js";
import type { SocketSettings } from "../../src/kernel/socket-options.js";
import { Faults } from "../../src/lab/faults.js";
import { Network } from "../../src/lab/index.js";
import { planDetection } from "../../src/plan/planner.js";
import { without } from "../plan/snippets/programs.js";
import { needsNamespaces } from "../support/namespaces.js";
import { buildPrograms, type Held, unmodifiedPrograms } from "../support/unmodified-programs.js";
import { establishedSockets, type Look, look, type Seen } from "./near-sockets.js";
import { Cast, enter } from "./stage.js";
import { type WayName, Ways, wayNames } from "./ways.js";

const detect = "4s";
const { settings: planned, detection } = planDetection({ detectWithin: detect });

/** The moments at which every socket is looked at: with all programs running, after `set`, and before the cut. */
const moments = ["started", "set", "cut"] as const;
type Moment = (typeof moments)[number];

/** When sockets hold the plan's settings; otherwise they hold the program's own. */
const planHoldsAt: Readonly<Record<WayName, readonly Moment[]>> = {
  "under run": ["started", "set", "cut"],
  "under a policy": ["started", "set", "cut"],
  "already running, through set": ["set", "cut"],
  "through set and undone": ["set"],
};

/** Looking takes its time, and so does the kernel: a user timeout ends at the retransmission after it. */
const toleranceMs = 500;

/** How long after the cut a connection may still be there. What is written while the peer is silent is timed from the write on. */
function limitMs({ sendsEveryMs }: Held): number {
  const { idleMs, sendingMs } = detection;
  assert.ok(idleMs !== null && sendingMs !== null);
  return (sendsEveryMs === null ? idleMs : sendsEveryMs + sendingMs) + toleranceMs;
}

const runnable = unmodifiedPrograms.filter(({ needs }) => without(...needs) === false);

describe(`unmodified programs notice within ${detect} that they are cut off`, {
  skip: needsNamespaces,
  timeout: 120_000,
}, () => {
  const folder = mkdtempSync(join(tmpdir(), `${newOwnedName("lab")}-`));
  let network: Network | undefined;
  let cast: Cast | undefined;
  let ways: Ways | undefined;
  /** What each program holds, or why it could not be started. */
  const trials = new Map<string, readonly Held[] | Error>();
  const looks = new Map<Moment, Look>();
  /** How long after the cut a socket was last seen, by its cookie. */
  const lastSeenMs = new Map<bigint, number>();
  let watchedMs = 0;

  before(async () => {
    await buildPrograms(runnable, folder);
    network = await Network.create({ near: {}, far: {} });
    enter(network.host("near"));
    cast = new Cast(network, folder);
    ways = new Ways(detect);
    await startAll(cast, ways);
    looks.set("started", look());
    ways.set(pidsOf("already running, through set"));
    const undo = ways.set(pidsOf("through set and undone"));
    looks.set("set", look());
    ways.undo(undo);
    looks.set("cut", look());
    await watchTheCut(network);
  });

  after(async () => {
    await cast?.[Symbol.asyncDispose]();
    await network?.[Symbol.asyncDispose]();
    ways?.[Symbol.dispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  async function startAll(cast: Cast, ways: Ways): Promise<void> {
    await Promise.all(
      wayNames.flatMap((way) =>
        runnable.map(async (program) => {
          const held = Promise.resolve(program.hold(cast.stage(ways.launcher(way))));
          trials.set(`${program.name} ${way}`, await held.catch((error: unknown) => error as Error));
        }),
      ),
    );
    const wanted = [...trials.values()].flatMap((held) => (held instanceof Error ? [] : held));
    const deadline = performance.now() + 15_000;
    while (performance.now() < deadline) {
      const open = look();
      if (wanted.every(({ farPort }) => open.has(farPort))) return;
      await sleep(50);
    }
  }

  function heldBy(program: string, way: string): readonly Held[] {
    const held = trials.get(`${program} ${way}`);
    if (held instanceof Error) throw held;
    assert.ok(held !== undefined);
    return held;
  }

  function pidsOf(way: WayName): number[] {
    const held = runnable.map(({ name }) => trials.get(`${name} ${way}`));
    const ports = held.flatMap((one) => (one === undefined || one instanceof Error ? [] : one));
    const pids = ports.map(({ farPort }) => looks.get("started")?.get(farPort)?.pid);
    return [...new Set(pids.filter((pid) => pid !== undefined))];
  }

  /** Until all that must be gone are late, and then as long again as it takes to be sure of the others. */
  async function watchTheCut(network: Network): Promise<void> {
    const latest = [...trials.values()].flatMap((held) => (held instanceof Error ? [] : held.map(limitMs)));
    const untilMs = Math.max(...latest) + 1_000;
    await new Faults(network, () => 0).drop({ between: ["near", "far"] });
    const cutAt = performance.now();
    do {
      await sleep(20);
      const nowMs = performance.now() - cutAt;
      for (const { cookie } of establishedSockets()) lastSeenMs.set(cookie, nowMs);
      watchedMs = nowMs;
    } while (watchedMs < untilMs);
  }

  for (const way of wayNames)
    describe(way, () => {
      for (const { name, needs } of unmodifiedPrograms)
        test(name, { skip: without(...needs) }, () => {
          for (const held of heldBy(name, way)) check(way, held);
        });
    });

  function check(way: WayName, held: Held): void {
    const which = `${held.what}, over IPv${held.family}`;
    const seen = (moment: Moment): Seen => {
      const one = looks.get(moment)?.get(held.farPort);
      assert.ok(one, `${which}: no connection when ${moment}`);
      return one;
    };
    const own = seen("started");
    const wanted = { ...asRead, rtoMaxMs: own.settings.rtoMaxMs };
    for (const moment of moments) {
      const { cookie, settings } = seen(moment);
      assert.equal(cookie, own.cookie, `${which}: it is another connection`);
      if (planHoldsAt[way].includes(moment)) assert.deepEqual(settings, wanted, `${which}, ${moment}`);
      else {
        assert.notDeepEqual(settings, wanted, `${which}, ${moment}`);
        assert.deepEqual(settings, own.settings, `${which}, ${moment}`);
      }
    }
    const seenMs = lastSeenMs.get(own.cookie) ?? 0;
    if (planHoldsAt[way].includes("cut"))
      assert.ok(seenMs <= limitMs(held), `${which}: still there ${seenMs} ms after the cut`);
    else assert.equal(seenMs, watchedMs, `${which}: without settings nobody can notice so soon`);
  }
});

/** The plan as readSettings says it. */
const asRead: Omit<SocketSettings, "rtoMaxMs"> = {
  keepalive: { enabled: true, idleMs: 0, intervalMs: 0, count: 0, ...planned.keepalive },
  userTimeoutMs: planned.userTimeoutMs,
};
