import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type IdleOutcome, IdleSearch, type IdleTrial } from "../../../src/http/measure/idle-search.js";

/** Runs a search against a server that is a function. */
function search(
  server: (trial: IdleTrial) => IdleOutcome,
  options: { maxMs?: number; lanes?: number; precisionMs?: number | null } = {},
): { search: IdleSearch; rounds: (readonly IdleTrial[])[] } {
  const one = new IdleSearch({ maxMs: 120_000, lanes: 20, precisionMs: null, ...options });
  const rounds: (readonly IdleTrial[])[] = [];
  for (let round = one.next(); round.length > 0; round = one.next()) {
    rounds.push(round);
    for (const trial of round) if (one.wants(trial.askedMs, 0)) one.take(server(trial));
  }
  return { search: one, rounds };
}

/** Forgets after so long, and says nothing. */
const forgetful =
  (afterMs: number, how: "lost" | "reset" | "closed") =>
  ({ askedMs }: IdleTrial): IdleOutcome =>
    askedMs < afterMs ? { kind: "answered", idleMs: askedMs } : { kind: "unanswered", how, idleMs: askedMs };

describe("the search for an idle timeout", () => {
  it("has watchers at different moments of a second, and connections that speak after ever longer times", () => {
    const [round = []] = search(() => ({ kind: "void" })).rounds;
    assert.equal(round.length, 20);
    assert.deepEqual(
      round.filter(({ askedMs }) => askedMs === 120_000).map(({ delayMs }) => delayMs),
      [0, 100, 200, 300, 400, 500, 600, 700, 800, 900],
    );
    const ages = round.map(({ askedMs }) => askedMs);
    assert.deepEqual(
      ages,
      ages.toSorted((a, b) => a - b),
    );
    assert.equal(ages[0], 250);
  });

  it("is over when the server closes by itself", () => {
    const { search: one, rounds } = search(({ askedMs, delayMs }) =>
      askedMs < 3_000
        ? { kind: "answered", idleMs: askedMs }
        : { kind: "ended", by: "fin", idleMs: 3_000 + delayMs / 5 },
    );
    assert.equal(rounds.length, 1);
    assert.deepEqual(one.bracket, { lowMs: 3_000, highMs: 3_180, by: "fin", outlived: 0 });
  });

  it("looks twice for the shortest time of a server that looks at its clock once a second", () => {
    const { search: one, rounds } = search(({ askedMs, delayMs }) =>
      askedMs < 3_000
        ? { kind: "answered", idleMs: askedMs }
        : { kind: "ended", by: "fin", idleMs: 4_000 - ((delayMs + 30) % 1_000) },
    );
    assert.deepEqual(
      rounds.map(({ length }) => length),
      [20, 20],
    );
    assert.deepEqual(one.bracket, { lowMs: 3_045, highMs: 3_995, by: "fin", outlived: 0 });
  });

  for (const how of ["lost", "reset", "closed"] as const)
    for (const afterMs of [700, 5_000, 61_234, 119_000])
      it(`closes in on a server that is ${how} after ${afterMs} ms`, () => {
        const { search: one, rounds } = search(forgetful(afterMs, how));
        const { lowMs, highMs, by } = one.bracket;
        assert.equal(by, how);
        assert.ok(highMs !== null && lowMs < afterMs && afterMs <= highMs, `${lowMs} ${highMs}`);
        assert.ok(highMs - lowMs <= Math.max(100, highMs / 50), `${lowMs} ${highMs}`);
        assert.ok(rounds.length <= 4);
      });

  it("says how long connections were held where nothing ends", () => {
    const { search: one, rounds } = search(({ askedMs }) => ({ kind: "answered", idleMs: askedMs }));
    assert.equal(rounds.length, 1);
    assert.deepEqual(one.bracket, { lowMs: 120_000, highMs: null, by: null, outlived: 0 });
  });

  it("believes the shorter of two: a firewall that forgets before the server closes", () => {
    const { search: one } = search(
      ({ askedMs }) =>
        askedMs > 60_000
          ? { kind: "ended", by: "fin", idleMs: 60_000 }
          : forgetful(10_000, "lost")({ askedMs, delayMs: 0 }),
      { lanes: 8 },
    );
    assert.equal(one.bracket.by, "lost");
  });

  it("gives up connections that outlive the others, and those that can tell nothing more", () => {
    const one = new IdleSearch({ maxMs: 120_000, lanes: 4, precisionMs: null });
    one.next();
    assert.ok(one.wants(120_000, 100_000));
    one.take({ kind: "ended", by: "rst", idleMs: 10_000 });
    assert.ok(one.wants(120_000, 17_000));
    assert.ok(!one.wants(120_000, 18_000));
    const other = new IdleSearch({ maxMs: 120_000, lanes: 4, precisionMs: null });
    other.next();
    other.take({ kind: "unanswered", how: "lost", idleMs: 10_000 });
    assert.ok(!other.wants(120_000, 0));
    assert.ok(other.wants(9_000, 0));
  });

  it("ends where answers follow no rule", () => {
    let turn = 0;
    const { rounds } = search(
      ({ askedMs }) =>
        turn++ % 2 === 0
          ? { kind: "answered", idleMs: askedMs }
          : { kind: "unanswered", how: "lost", idleMs: askedMs },
      { lanes: 2 },
    );
    assert.ok(rounds.length <= 4);
  });
});
