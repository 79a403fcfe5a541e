import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  array,
  assert as check,
  constantFrom,
  integer,
  ipV4,
  ipV6,
  property,
  record,
  tuple,
} from "fast-check";
import {
  assess,
  type Notes,
  observe,
  type Sight,
  type TimeLimits,
} from "../../../src/server/governor/assess.js";
import { addressKey } from "../../../src/server/governor/client-key.js";
import { Clients } from "../../../src/server/governor/clients.js";
import { clientBehind, hopsIn } from "../../../src/server/governor/forwarded.js";
import type { Held } from "../../../src/server/governor/held.js";
import { Networks } from "../../../src/server/governor/networks.js";
import { Pressure } from "../../../src/server/governor/pressure.js";

const noLimits: TimeLimits = {
  firstByteMs: null,
  handshakeMs: null,
  headMs: null,
  idleMs: null,
  body: null,
};
const nothing: Sight = {
  phase: "open",
  phaseMs: 0,
  read: 0,
  taken: 0,
  readAgeMs: 0,
  takenAgeMs: 0,
  streamsMs: null,
  outstanding: false,
  waiting: 0,
  uploading: false,
  http: false,
};
const newNotes = (): Notes => ({
  acceptedMs: 0,
  ageAtMs: -1,
  progressMs: 0,
  read: 0,
  taken: 0,
  windowMs: -1,
  windowRead: 0,
  windowTaken: 0,
  windowWaiting: 0,
  windowUploading: false,
});

describe("a look at a connection", () => {
  test("without limits is the last", () => {
    assert.equal(assess(noLimits, newNotes(), nothing, 5_000_000), Infinity);
  });

  test("counts idle time from the last bytes, by the kernel's word", () => {
    const limits = { ...noLimits, idleMs: 60_000 };
    const notes = newNotes();
    assert.equal(assess(limits, notes, { ...nothing, read: 10, readAgeMs: 20_000 }, 50_000), 90_000);
    assert.equal(assess(limits, notes, { ...nothing, read: 10, readAgeMs: 60_000 }, 89_999), 90_000);
    assert.equal(assess(limits, notes, { ...nothing, read: 10, readAgeMs: 60_000 }, 90_000), "idle");
  });

  test("comes again soon where the kernel does not say when bytes moved", () => {
    const limits = { ...noLimits, idleMs: 60_000 };
    const blind = { ...nothing, readAgeMs: null, takenAgeMs: null };
    assert.equal(assess(limits, newNotes(), blind, 0), 6_000);
  });

  test("does not call idle what is in flight, nor what drains", () => {
    const limits = { ...noLimits, idleMs: 1_000 };
    assert.equal(assess(limits, newNotes(), { ...nothing, phase: "request" }, 10_000), 11_000);
    const notes = newNotes();
    for (let nowMs = 0; nowMs < 20_000; nowMs += 100) {
      const draining = { ...nothing, taken: nowMs, outstanding: true };
      assert.equal(typeof assess(limits, notes, draining, nowMs), "number");
    }
  });

  test("measures a body only while it is the peer that holds it up", () => {
    const limits = { ...noLimits, body: { bytesPerSecond: 100, windowMs: 1_000 } };
    const body: Sight = { ...nothing, phase: "request", uploading: true };
    const notes = newNotes();
    assert.equal(assess(limits, notes, body, 0), 1_000);
    assert.equal(assess(limits, notes, { ...body, read: 100 }, 1_000), 2_000);
    assert.equal(assess(limits, notes, { ...body, read: 100, uploading: false }, 2_000), 3_000);
    assert.equal(assess(limits, notes, { ...body, read: 100 }, 60_000), 61_000);
    assert.equal(assess(limits, notes, { ...body, read: 199 }, 61_000), "body");
    const reading: Sight = { ...nothing, phase: "request", waiting: 5_000 };
    const other = newNotes();
    assess(limits, other, reading, 0);
    assert.equal(assess(limits, other, { ...reading, taken: 99 }, 1_000), "slow-read");
    // Events that come now and then, to a client that takes each.
    const events = newNotes();
    assess(limits, events, { ...reading, waiting: 10 }, 0);
    assert.equal(assess(limits, events, { ...reading, waiting: 10, taken: 10 }, 1_000), 2_000);
  });

  const figures = record({
    phase: constantFrom<Sight["phase"]>("handshake", "head", "request", "idle", "open"),
    phaseMs: integer({ min: 0, max: 10_000 }),
    grown: integer({ min: 0, max: 1_000 }),
    waiting: integer({ min: 0, max: 100_000 }),
    uploading: constantFrom(true, false),
    stepMs: integer({ min: 1, max: 5_000 }),
  });
  test("is always followed by a later one, and never ends a request as idle", () => {
    const limits: TimeLimits = {
      firstByteMs: 3_000,
      handshakeMs: 4_000,
      headMs: 5_000,
      idleMs: 9_000,
      body: { bytesPerSecond: 10, windowMs: 2_000 },
    };
    check(
      property(array(figures, { maxLength: 30 }), (looks) => {
        const notes = newNotes();
        let nowMs = 0;
        let read = 0;
        for (const { grown, stepMs, ...seen } of looks) {
          nowMs += stepMs;
          read += grown;
          const outcome = assess(limits, notes, { ...nothing, ...seen, read, http: true }, nowMs);
          if (typeof outcome === "number") assert.ok(outcome > nowMs, `${outcome} at ${nowMs}`);
          else if (seen.phase === "request") assert.notEqual(outcome, "idle");
          assert.ok(notes.progressMs <= nowMs);
          if (typeof outcome === "string") return;
        }
      }),
    );
  });

  test("of HTTP/2 goes by its streams", () => {
    const notes = newNotes();
    observe(notes, { ...nothing, read: 500, streamsMs: 20 }, 1_000);
    assert.equal(notes.progressMs, 20);
  });
});

describe("clients", () => {
  test("are addresses, or the networks of IPv6 ones", () => {
    assert.equal(addressKey("::ffff:192.0.2.1", 64), "192.0.2.1");
    assert.equal(addressKey("2001:db8:1:2:aaaa::1", 64), "2001:db8:1:2::/64");
    assert.equal(addressKey("2001:db8:1:2:aaaa::1", 57), "2001:db8:1::/57");
    assert.equal(addressKey("2001:db8::1", 128), "2001:db8::1");
    assert.equal(addressKey("fe80::1%eth0", 64), "fe80::/64");
    check(
      property(ipV6(), integer({ min: 1, max: 128 }), (address, prefix) => {
        const key = addressKey(address, prefix);
        // Whoever is one client stays one.
        assert.equal(addressKey(key.replace(/\/.*/, ""), prefix), key);
      }),
    );
    check(property(ipV4(), (address) => assert.equal(addressKey(`::ffff:${address}`, 64), address)));
  });

  test("are counted right, whatever comes and goes", () => {
    const step = tuple(constantFrom("a", "b", "c"), constantFrom("enter", "leave"));
    check(
      property(array(step, { maxLength: 100 }), (steps) => {
        const clients = new Clients({ total: 6, perClient: 3, newPerClient: null });
        const held: { key: string; held: Held }[] = [];
        for (const [key, what] of steps) {
          const index = held.findIndex((one) => one.key === key);
          if (what === "leave" && index >= 0)
            clients.leave((held.splice(index, 1)[0] as (typeof held)[0]).held, 0);
          if (what === "leave") continue;
          const mine = held.filter((one) => one.key === key).length;
          const expected = mine >= 3 ? "per-client" : held.length >= 6 ? "total" : null;
          assert.equal(clients.ask(key, 0), expected);
          if (expected !== null) continue;
          const one = { client: null, before: null, behind: null } as unknown as Held;
          clients.enter(one, key, 0);
          held.push({ key, held: one });
        }
        assert.equal(clients.total, held.length);
        assert.equal(clients.size, new Set(held.map(({ key }) => key)).size);
        for (const { key, first } of clients.clients()) {
          let count = 0;
          for (let at = first; at !== null; at = at.behind) count++;
          assert.equal(count, held.filter((one) => one.key === key).length);
        }
      }),
    );
  });

  test("have an allowance that fills evenly, and are forgotten when it is full", () => {
    const limits = { total: null, perClient: null, newPerClient: { count: 2, withinMs: 1_000 } };
    const clients = new Clients(limits);
    const asked = [0, 0, 0, 499, 500, 501].map((nowMs) => clients.ask("a", nowMs));
    assert.deepEqual(asked, [null, null, "rate", "rate", null, "rate"]);
    for (let n = 0; n < 100_000; n++) clients.ask(`client ${n}`, 1_000);
    assert.equal(clients.size, 0);
  });
});

describe("headers that name clients", () => {
  const trusted = new Networks(["10.0.0.0/8", "fd00::/8"]);
  const behind = (name: "x-forwarded-for" | "forwarded", value: string): string | null =>
    clientBehind(hopsIn(name, value), (hop) => trusted.has(hop));

  test("are believed as far as their writers are", () => {
    assert.equal(behind("x-forwarded-for", "203.0.113.9"), "203.0.113.9");
    assert.equal(behind("x-forwarded-for", "1.1.1.1, 203.0.113.9, 10.0.0.7"), "203.0.113.9");
    assert.equal(behind("x-forwarded-for", "10.0.0.1, 10.0.0.7"), "10.0.0.1");
    assert.equal(behind("x-forwarded-for", "203.0.113.9, unknown"), null);
    assert.equal(behind("x-forwarded-for", "[2001:db8::1]:4711"), "2001:db8::1");
    assert.equal(behind("x-forwarded-for", "203.0.113.9:4711"), "203.0.113.9");
    assert.equal(behind("x-forwarded-for", ""), null);
    assert.equal(behind("forwarded", "for=203.0.113.9;proto=https, for=10.0.0.7"), "203.0.113.9");
    assert.equal(behind("forwarded", 'For="[2001:db8:cafe::17]:4711"'), "2001:db8:cafe::17");
    assert.equal(behind("forwarded", 'by="a,b;c";for=203.0.113.9'), "203.0.113.9");
    assert.equal(behind("forwarded", "for=_hidden"), null);
  });

  test("never make anything fail", () => {
    check(
      property(
        array(constantFrom("for=", ",", ";", '"', "\\", "[", "]", ":", "10.0.0.1", "::1", "x"), {
          maxLength: 30,
        }),
        (parts) => {
          behind("forwarded", parts.join(""));
          behind("x-forwarded-for", parts.join(""));
        },
      ),
    );
  });
});

test("pressure is that of the process, and counted anew before it is believed", () => {
  let used = 60;
  const pressure = new Pressure(
    { descriptors: 0.9, memory: 0.8 },
    { descriptors: () => ({ used, limit: 100 }), memory: () => 0.81 },
  );
  assert.equal(pressure.descriptorsShort(50, 0), 0);
  assert.equal(pressure.memoryShort, true);
  used = 93;
  // 10 others and 83 connections: 3 too many.
  assert.equal(pressure.descriptorsShort(83, 10), 3);
  assert.equal(pressure.descriptorsGone(83), false);
  assert.equal(pressure.descriptorsGone(86), true);
  // The program has closed ten files meanwhile.
  used = 83;
  assert.equal(pressure.descriptorsShort(83, 2_000), 0);
});
