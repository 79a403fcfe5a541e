import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { request } from "undici";
import { DeadpeerError } from "../../../src/errors.js";
import { idleBudgetMs } from "../../../src/http/client/idle-budget.js";
import { RoundTrip } from "../../../src/http/client/round-trip.js";
import {
  createAgent,
  createDispatcher,
  type DispatcherOptions,
  type KeepAliveOptions,
} from "../../../src/http/index.js";
import { VirtualClock } from "../../../src/time/virtual-clock.js";
import { scriptedServer } from "../../support/scripted-http.js";
import { get } from "../../support/http-get.js";

describe("a round trip", () => {
  test("is smoothed as TCP smooths it", () => {
    const roundTrip = new RoundTrip();
    assert.equal(roundTrip.smoothedMs, null);
    assert.equal(roundTrip.longestMs, 0);
    roundTrip.add(100);
    assert.equal(roundTrip.smoothedMs, 100);
    // RFC 6298, 2.2: SRTT + 4 × R/2.
    assert.equal(roundTrip.longestMs, 300);
    roundTrip.add(200);
    assert.equal(roundTrip.smoothedMs, 112.5);
    assert.equal(roundTrip.longestMs, 112.5 + 4 * 62.5);
    roundTrip.add(Number.NaN);
    roundTrip.add(-1);
    assert.equal(roundTrip.smoothedMs, 112.5);
  });

  test("settles on what it is", () => {
    const roundTrip = new RoundTrip();
    roundTrip.add(1_000);
    for (let count = 0; count < 100; count++) roundTrip.add(20);
    assert.ok(Math.abs((roundTrip.smoothedMs ?? 0) - 20) < 1);
    assert.ok(roundTrip.longestMs < 25);
  });
});

describe("an idle connection's budget", () => {
  const bounds = { defaultMs: 4_000, maxMs: 600_000 };
  test("is the shorter of hint and measurement, less the margin", () => {
    assert.equal(idleBudgetMs({ hintMs: 5_000, measuredMs: null }, bounds, 300), 4_700);
    assert.equal(idleBudgetMs({ hintMs: 5_000, measuredMs: 3_000 }, bounds, 300), 2_700);
    assert.equal(idleBudgetMs({ hintMs: 2_000, measuredMs: 3_000 }, bounds, 300), 1_700);
    assert.equal(idleBudgetMs({ hintMs: null, measuredMs: 75_000 }, bounds, 300), 74_700);
    assert.equal(idleBudgetMs({ hintMs: null, measuredMs: null }, bounds, 300), 4_000);
    assert.equal(idleBudgetMs({ hintMs: 0, measuredMs: null }, bounds, 300), 0);
    assert.equal(idleBudgetMs({ hintMs: 99_999_999, measuredMs: null }, bounds, 300), 600_000);
  });

  test("never reaches what the server keeps", () => {
    const ms = fc.option(fc.nat(10_000_000));
    fc.assert(
      fc.property(ms, ms, fc.nat(10_000), fc.nat(10_000), (hintMs, measuredMs, margin, defaultMs) => {
        const budget = idleBudgetMs({ hintMs, measuredMs }, { defaultMs, maxMs: 600_000 }, margin + 1);
        assert.ok(budget >= 0 && budget <= 600_000);
        for (const kept of [hintMs, measuredMs]) if (kept !== null) assert.ok(budget < kept || budget === 0);
      }),
    );
  });
});

describe("a connection is used again", () => {
  const cases: readonly (readonly [string, string, number, boolean, DispatcherOptions?])[] = [
    ["within its server's hint", "timeout=5", 4_500, false],
    ["but not close to it", "timeout=5", 4_800, true],
    ["but not long after it", "timeout=5", 3_600_000, true],
    ["within 4 s where nothing is known", "", 3_900, false],
    ["but not after 4 s where nothing is known", "", 4_000, true],
    ["or after what the caller allows then", "", 20_000, false, { defaultIdle: "30s" }],
    ["within what was measured", "", 50_000, false, { idleMs: 60_000 }],
    ["but not after what was measured, whatever the hint", "timeout=60", 3_000, true, { idleMs: 3_000 }],
    ["but not after the hint, whatever was measured", "timeout=2", 2_000, true, { idleMs: 60_000 }],
    ["but not after the most that the caller allows", "timeout=60", 10_000, true, { maxIdle: "10s" }],
    ["but not if its server keeps none", "timeout=0", 0, true],
    ["but not if its server keeps it for less than the slack", "timeout=1", 0, true, { slack: "2s" }],
    ["as if nothing was said where the hint is no number", "timeout=abc", 3_900, false],
    ["as if nothing was said where the hint is absurd", "timeout=99999999999, max=-1", 4_000, true],
    ["as if nothing was said where the hint is negative", "timeout=-1", 4_000, true],
    ["within the shortest of several hints", "timeout=60, timeout=5", 5_000, true],
  ];
  for (const [name, hint, idleMs, expected, options] of cases)
    test(name, async () => assert.equal(await needsNew(hint, idleMs, options), expected));

  test("but not after the machine slept, which only the wall clock has seen", async () => {
    await using server = await scriptedServer(answer("timeout=5"));
    const clock = new VirtualClock(1_000_000);
    const asleep = { now: () => clock.now() + sleptMs, monotonic: () => clock.monotonic() };
    let sleptMs = 0;
    const dispatcher = createDispatcher({ connections: 1, clock: asleep });
    await (await request(server.origin, { dispatcher })).body.text();
    sleptMs = 60_000;
    await (await request(server.origin, { dispatcher })).body.text();
    assert.deepEqual([dispatcher.figures.new, dispatcher.figures.expired], [2, 1]);
    await dispatcher.destroy();
  });

  test("for each origin as it was measured", async () => {
    await using short = await scriptedServer(answer(""));
    await using long = await scriptedServer(answer(""));
    const clock = new VirtualClock();
    const idleMs = { [`${short.origin}/`]: 1_000, [long.origin]: 9_000 };
    const dispatcher = createDispatcher({ clock, idleMs });
    for (const { origin } of [short, long]) await (await request(origin, { dispatcher })).body.text();
    await clock.advance(5_000);
    for (const { origin } of [short, long]) await (await request(origin, { dispatcher })).body.text();
    assert.deepEqual([short.connections.length, long.connections.length], [2, 1]);
    await dispatcher.destroy();
  });
});

test("options that cannot be meant are refused", () => {
  refuses({ idleMs: { "example.com": 1 } }, "bad-option");
  refuses({ idleMs: { "ftp://example.com": 1 } }, "bad-option");
  refuses({ idleMs: -1 }, "bad-duration");
  refuses({ idleMs: { "http://a": Number.NaN } }, "bad-duration");
  refuses({ defaultIdle: "5" }, "bad-duration");
  refuses({ replays: -1 }, "bad-option");
  refuses({ replays: 1.5 }, "bad-option");
  refuses({ detect: {} as never }, "bad-option");
  refuses({ detect: { detectWithin: "0" } }, "budget-impossible");
});

function answer(hint: string): () => string {
  const header = hint === "" ? "" : `Keep-Alive: ${hint}\r\n`;
  return () => `HTTP/1.1 200 OK\r\nContent-Length: 2\r\n${header}\r\nok`;
}

function refuses(options: DispatcherOptions, code: string): void {
  for (const create of [createDispatcher, createAgent])
    assert.throws(
      () => create(options),
      (error) => error instanceof DeadpeerError && error.code === code,
      JSON.stringify(options),
    );
}

/** Whether a second request after so much idle time needs a new connection: over undici's dispatcher, and over Node's agent. */
async function needsNew(hint: string, idleMs: number, options: DispatcherOptions = {}): Promise<boolean> {
  await using server = await scriptedServer(answer(hint));
  const clock = new VirtualClock(1_000_000);
  const dispatcher = createDispatcher({ connections: 1, clock, ...options });
  const agent = createAgent({ clock, ...(options as KeepAliveOptions) });
  const ask = async (): Promise<void> => {
    await (await request(server.origin, { dispatcher })).body.text();
    await get(server.origin, { agent });
  };
  await ask();
  await clock.advance(idleMs);
  await ask();
  const figures = [dispatcher.figures, agent.figures];
  await dispatcher.destroy();
  agent.destroy();
  const [one, other] = figures.map(({ new: made, reused, expired }) => ({ made, reused, expired }));
  assert.deepEqual(one, other, "dispatcher and agent");
  assert.equal((one?.made ?? 0) + (one?.reused ?? 0), 2);
  return one?.made === 2;
}
