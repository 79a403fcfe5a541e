import assert from "node:assert/strict";
import { test } from "node:test";
import { FlowTable } from "../../src/capture/flow-table.js";
import { slabRows } from "../../src/capture/rows.js";
import { Silence } from "../../src/capture/silence.js";
import { Random } from "./talk.js";

/** Both addresses in front of each other, as IPv4 has them. */
const bytes = Uint8Array.of(192, 0, 2, 1, 198, 51, 100, 7);

test("flows are found, removed and begun anew in rows that were used before", () => {
  const table = new FlowTable();
  const random = new Random(5);
  const firstFrames = new Map<number, number>();
  for (let frame = 1; frame < 8 * slabRows; frame++) {
    const port = random.below(2 * slabRows);
    const found = table.find(bytes, 4, 0, 4, port, 443);
    assert.equal(found?.firstFrame, firstFrames.get(port));
    if (found !== null && random.chance(40)) {
      table.remove(found);
      firstFrames.delete(port);
      continue;
    }
    if (found !== null && !random.chance(20)) continue;
    const flow = table.add(found, frame, frame * 1e3);
    assert.deepEqual(
      [flow.frames, flow.opener, flow.icmp, flow.eventHead, flow.a.lastFrame, flow.b.window],
      [0, null, null, -1, 0, -1],
      "nothing is left of the row's last flow",
    );
    assert.deepEqual([flow.a.repeated, flow.b.repeated, flow.a.keepalive], [null, null, null]);
    flow.frames = 7;
    flow.opener = "b";
    flow.a.lastFrame = frame;
    flow.b.repeated = new Silence();
    firstFrames.set(port, frame);
  }
  assert.equal(table.size, firstFrames.size);
  const inOrder = [...firstFrames.values()].sort((one, other) => one - other);
  assert.ok(inOrder.length > slabRows, "more than one slab is in use");
  assert.deepEqual(
    Array.from(table.inOrder(), (flow) => flow.firstFrame),
    inOrder,
  );
});
