import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { findMiddlebox, middleboxes } from "../../src/plan/middleboxes.js";
import { detectionTimes } from "../../src/plan/model.js";
import { programs } from "../../src/plan/programs.js";
import { operatingSystems } from "../../src/plan/systems.js";

describe("middleboxes", () => {
  test("every name leads to its box, in any case", () => {
    for (const box of middleboxes)
      for (const name of [box.id, ...(box.aliases ?? [])])
        assert.equal(findMiddlebox(name.toUpperCase()), box);
  });

  test("no name means two boxes, and none could be taken for a duration", () => {
    const names = middleboxes.flatMap(({ id, aliases = [] }) => [id].concat(aliases));
    assert.equal(new Set(names).size, names.length);
    for (const name of names) assert.match(name, /^[a-z][a-z0-9-]*$/);
  });

  test("what they come with lies within what they can be set to", () => {
    for (const { id, idleMs, settableMs } of middleboxes)
      assert.ok(settableMs === undefined || (settableMs.min <= idleMs && idleMs <= settableMs.max), id);
  });

  test("a proxy answers probes itself, so they cannot count", () => {
    for (const { id, terminates, countsKeepalive } of middleboxes)
      assert.ok(!(terminates && countsKeepalive), id);
  });
});

describe("operating systems", () => {
  test("where probes are counted, the time to notice follows from the defaults", () => {
    for (const { id, defaults, noticedAfterMs } of operatingSystems)
      if (defaults !== null)
        assert.equal(detectionTimes({ keepalive: defaults, userTimeoutMs: 0 }).idleMs, noticedAfterMs, id);
  });
});

test("every entry names its source, and ids are unique", () => {
  for (const catalogue of [middleboxes, operatingSystems, programs]) {
    assert.equal(new Set(catalogue.map(({ id }) => id)).size, catalogue.length);
    for (const { id, source } of catalogue) assert.ok(source.length > 5, id);
  }
});
