import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import type { LossKind, Outcome } from "../../../../src/client/nat/search/outcome.js";
import { type Bracket, Search, type SearchOptions } from "../../../../src/client/nat/search/search.js";

/** What happens to a connection that is to be silent for so long; `number` counts the connections of the measurement. */
type Path = (askedMs: number, number: number) => Outcome;

interface Searched extends Bracket {
  readonly rounds: readonly (readonly number[])[];
  /** With the connections of a round side by side, and an answer waited for `patienceMs`. */
  readonly tookMs: number;
}

const patienceMs = 5_000;

/** As an Exploration does it: the shorter silences are known first, and what does not matter any more is left out. */
function searched(options: SearchOptions, path: Path): Searched {
  const search = new Search(options);
  const rounds: (readonly number[])[] = [];
  let number = 0;
  let tookMs = 0;
  for (let round = search.next(); round.length > 0; round = search.next()) {
    assert.ok(round.length <= options.lanes, `${round.length} connections for ${options.lanes}`);
    rounds.push(round);
    let lastMs = 0;
    // A pair is spoken on at the same moment.
    for (const askedMs of new Set(round)) {
      const together = round.filter((one) => one === askedMs);
      if (!search.wants(askedMs)) continue;
      lastMs = askedMs;
      for (const outcome of together.map(() => path(askedMs, number++))) search.take(askedMs, outcome);
    }
    tookMs += lastMs + patienceMs;
  }
  return { ...search.bracket, rounds, tookMs };
}

/** Remembers for `idleMs`, and an answer takes `lateMs` at most to tell. */
function forgetful(idleMs: number, how: LossKind = "silent", lateMs = 50): Path {
  return (askedMs) =>
    askedMs <= idleMs
      ? { kind: "survived", silentMs: askedMs }
      : { kind: "lost", how, silentMs: askedMs + lateMs };
}

const options: SearchOptions = { maxMs: 600_000, lanes: 20, precisionMs: null };

describe("the search for a path's memory", () => {
  const anyOptions = fc.record({
    maxMs: fc.integer({ min: 2_000, max: 7_200_000 }),
    lanes: fc.integer({ min: 2, max: 64 }),
    precisionMs: fc.option(fc.integer({ min: 100, max: 30_000 })),
  });
  const idle = fc.double({ min: 1, max: 8_000_000, noNaN: true });
  const kind = fc.constantFrom<LossKind>("silent", "reset");

  test("whatever is true lies in the bracket, which is as narrow as was asked for", () => {
    fc.assert(
      fc.property(anyOptions, idle, kind, (options, idleMs, how) => {
        const { survivedMs, lostMs, lossKind, rounds } = searched(options, forgetful(idleMs, how));
        assert.ok(survivedMs <= idleMs);
        if (idleMs >= options.maxMs) {
          assert.deepEqual([lostMs, lossKind, survivedMs], [null, "none", options.maxMs]);
          return;
        }
        assert.ok(lostMs !== null && lostMs > idleMs, `${lostMs} for ${idleMs}`);
        assert.equal(lossKind, how);
        const precisionMs = options.precisionMs ?? Math.max(1_000, lostMs / 20);
        // Below a second nothing is tried.
        const widthMs = lostMs - 50 - survivedMs;
        assert.ok(widthMs <= precisionMs + 1 || lostMs <= 1_050, `${survivedMs} to ${lostMs}`);
        assert.ok(rounds.length <= 30, `${rounds.length} rounds`);
      }),
    );
  });

  test("a box that resets what it forgets while nobody speaks tells its time by itself", () => {
    fc.assert(
      fc.property(anyOptions, fc.double({ min: 1, max: 8_000_000, noNaN: true }), (options, idleMs) => {
        const { survivedMs, lostMs } = searched(options, (askedMs) =>
          askedMs <= idleMs
            ? { kind: "survived", silentMs: askedMs }
            : { kind: "lost", how: "reset", silentMs: idleMs + 50 },
        );
        assert.ok(survivedMs <= idleMs);
        if (idleMs < options.maxMs) assert.ok(lostMs !== null && lostMs >= idleMs);
      }),
    );
  });

  test("one connection that is lost by chance changes nothing; nor do some that show nothing", () => {
    fc.assert(
      fc.property(
        anyOptions.filter(({ lanes }) => lanes >= 4),
        idle,
        fc.nat(60),
        fc.array(fc.nat(60), { maxLength: 6 }),
        (options, idleMs, unlucky, voids) => {
          const path = forgetful(idleMs);
          const { survivedMs, lostMs } = searched(options, (askedMs, number) => {
            if (voids.includes(number)) return { kind: "void" };
            return number === unlucky
              ? { kind: "lost", how: "silent", silentMs: askedMs }
              : path(askedMs, number);
          });
          assert.ok(survivedMs <= idleMs, `survived ${survivedMs} of ${idleMs}`);
          if (idleMs < options.maxMs)
            assert.ok(lostMs !== null && lostMs > idleMs, `lost ${lostMs} of ${idleMs}`);
          else assert.equal(survivedMs, options.maxMs);
        },
      ),
    );
  });

  test("a side that breaks every silence is the end of it, and proves the path until then", () => {
    fc.assert(
      fc.property(
        anyOptions.filter(({ maxMs }) => maxMs >= 10_000),
        fc.integer({ min: 1_000, max: 9_000 }),
        fc.constantFrom("closed", "spoken"),
        (options, breaksMs, by) => {
          const { survivedMs, lostMs, ceiling, lossKind } = searched(options, (askedMs) =>
            askedMs < breaksMs
              ? { kind: "survived", silentMs: askedMs }
              : { kind: "interrupted", by, silentMs: breaksMs },
          );
          assert.deepEqual(ceiling, { by, silentMs: breaksMs });
          assert.deepEqual([survivedMs, lostMs, lossKind], [breaksMs, null, "none"]);
        },
      ),
      // Broken once, so near the longest silence that the precision would not ask for another.
      { examples: [[{ maxMs: 10_000, lanes: 2, precisionMs: 3_536 }, 8_232, "closed"]] },
    );
  });

  test("a server that restarts in the middle of a round is not a rule", () => {
    const { survivedMs, ceiling, rounds } = searched({ ...options, maxMs: 60_000 }, (askedMs, number) => {
      if (askedMs > 9_000 && number < 20) return { kind: "interrupted", by: "closed", silentMs: 9_000 };
      return { kind: "survived", silentMs: askedMs };
    });
    assert.deepEqual([survivedMs, ceiling, rounds.length], [60_000, null, 2]);
  });

  test("one connection that the other side ends by chance is not a rule", () => {
    const { survivedMs, ceiling } = searched({ ...options, maxMs: 60_000 }, (askedMs, number) =>
      number === 9 ? { kind: "interrupted", by: "closed", silentMs: 2_345 } : forgetful(1e9)(askedMs, number),
    );
    assert.deepEqual([survivedMs, ceiling], [60_000, null]);
  });

  test("losses that follow no rule are told apart from those that do", () => {
    // Every third connection takes another path, whose box forgets after 20 s.
    const { survivedMs, lostMs, strayMs } = searched(options, (askedMs, number) =>
      forgetful(number % 3 === 1 ? 20_000 : 100_000)(askedMs, number),
    );
    assert.ok(survivedMs <= 100_000 && (lostMs ?? 0) >= 100_000, `${survivedMs} to ${lostMs}`);
    assert.ok(strayMs.length > 0 && (strayMs[0] ?? 0) > 20_000);
  });

  test("it always ends, whatever is told", () => {
    const silentMs = fc.integer({ min: 0, max: 1_000_000 });
    const outcome: fc.Arbitrary<Outcome> = fc.oneof(
      fc.record({ kind: fc.constant("survived" as const), silentMs }),
      fc.record({ kind: fc.constant("lost" as const), how: kind, silentMs }),
      fc.record({
        kind: fc.constant("interrupted" as const),
        by: fc.constantFrom("closed", "spoken"),
        silentMs,
      }),
      fc.constant<Outcome>({ kind: "void" }),
    );
    fc.assert(
      fc.property(anyOptions, fc.array(outcome, { minLength: 1, maxLength: 50 }), (options, told) => {
        const { rounds } = searched(options, (_, number) => told[number % told.length] as Outcome);
        assert.ok(rounds.length <= 40);
      }),
    );
  });

  for (const [idleMs, times] of [
    [350_000, 2.5],
    [240_000, 2.5],
    [60_000, 2.6],
  ] as const)
    test(`${idleMs / 1_000} s are found in ${times} times as long, to a twentieth, with 20 connections`, () => {
      const { rounds, tookMs } = searched(options, forgetful(idleMs));
      assert.equal(rounds.length, 2);
      assert.ok(tookMs <= times * idleMs, `took ${tookMs / idleMs}`);
    });

  test("it says beforehand how long it may take", () => {
    for (const idleMs of [5_000, 20_000, 350_000, 599_000]) {
      const search = new Search(options);
      const round = search.next();
      const promisedMs = (round.at(-1) ?? 0) + patienceMs + search.afterwardsMs(round, patienceMs);
      assert.ok(searched(options, forgetful(idleMs)).tookMs <= promisedMs, String(idleMs));
    }
  });
});
