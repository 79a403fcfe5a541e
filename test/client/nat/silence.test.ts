import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { Silence } from "../../../src/client/nat/silence.js";

test("a silence is as long as its two lengths say, whenever packets went and whenever one looked", () => {
  const packet = fc.record({ afterMs: fc.integer({ min: 1, max: 3_000 }), inward: fc.boolean() });
  fc.assert(
    fc.property(
      fc.array(packet, { maxLength: 20 }),
      fc.array(fc.integer({ min: 1, max: 1_000 }), { minLength: 1, maxLength: 60 }),
      (packets, looks) => {
        const silence = new Silence(0, { in: 0, out: 0 });
        let packetsMs = 0;
        const went = packets.map(({ afterMs, inward }) => ({ atMs: (packetsMs += afterMs), inward }));
        let nowMs = 0;
        for (const look of looks) {
          const beforeMs = nowMs;
          nowMs += look;
          const past = went.filter(({ atMs }) => atMs <= nowMs);
          const traffic = {
            in: past.filter(({ inward }) => inward).length,
            out: past.filter(({ inward }) => !inward).length,
          };
          const broken = silence.look(nowMs, traffic);
          const fresh = past.filter(({ atMs }) => atMs > beforeMs);
          assert.equal(
            broken !== null,
            fresh.some(({ inward }) => inward),
          );
          if (broken !== null) {
            const lastMs = past.findLast(({ atMs }) => atMs <= beforeMs)?.atMs ?? 0;
            assert.ok(broken.afterMs <= beforeMs - lastMs);
          }
          const silentMs = nowMs - (past.at(-1)?.atMs ?? 0);
          assert.ok(silence.atLeastMs(nowMs) <= silentMs && silentMs <= silence.atMostMs(nowMs));
        }
      },
    ),
  );
});
