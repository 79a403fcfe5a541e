import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Connection } from "../../src/host/connection.js";
import { directions, groupConnections } from "../../src/host/group.js";
import { summarise, worstFirst } from "../../src/host/rank.js";
import { madeConnection, protectedConnection } from "./made.js";

const loopback = { address: "127.0.0.1", port: 5_432 };
const growing = [{ code: "unacked-growing", message: "" }] as const;
const waiting = madeConnection({ state: "TIME_WAIT", regime: "closing", inode: 0, settingsFrom: "unknown" });
const slow = madeConnection({
  keepalive: { enabled: true, idleMs: 60_000, intervalMs: 10_000, count: 3 },
  detection: { ...protectedConnection().detection, sendingMs: 924_600, deadPeerMs: 924_600 },
});

describe("worst first", () => {
  test("trouble, never, slow, protected, unknown, ending; and all of it before what stays within the host", () => {
    const order: readonly Connection[] = [
      protectedConnection({ findings: growing }),
      madeConnection({ lastHeardMs: 9_000 }),
      madeConnection({ lastHeardMs: 3_000 }),
      slow,
      protectedConnection(),
      madeConnection({ settingsFrom: "unknown" }),
      waiting,
      protectedConnection({ remote: loopback, findings: growing }),
      madeConnection({ remote: loopback }),
    ];
    for (let turn = 0; turn < order.length; turn++) {
      const turned = [...order.slice(turn), ...order.slice(0, turn)].toReversed();
      assert.deepEqual(turned.sort(worstFirst), order);
    }
  });
});

describe("summary", () => {
  test("counts what would never notice, what is slow, and what is not known", () => {
    const connections = [
      madeConnection(),
      madeConnection({ remote: loopback }),
      slow,
      protectedConnection(),
      madeConnection({ settingsFrom: "unknown" }),
      waiting,
      madeConnection({ state: "LISTEN", regime: "none" }),
    ];
    assert.deepEqual(summarise(connections), { total: 6, never: 2, slow: 1, withinHost: 1, unknown: 1 });
  });
});

describe("groups", () => {
  test("the service is the end that more connections share, else the lower port", () => {
    const service = { address: "10.0.0.1", port: 58_907 };
    const clients = [39_000, 39_001, 39_002].map((port) =>
      madeConnection({ local: service, remote: { address: "10.0.0.9", port } }),
    );
    const outgoing = madeConnection();
    const directionOf = directions([...clients, outgoing]);
    for (const client of clients) assert.equal(directionOf(client), "incoming");
    assert.equal(directionOf(outgoing), "outgoing");
    const [alone] = clients as [Connection];
    assert.equal(directions([alone])(alone), "outgoing", "one connection alone tells nothing");
  });

  test("not together: a group for each", () =>
    assert.equal(groupConnections([madeConnection(), madeConnection()], false).length, 2));

  test("alike connections stand together, in the order of their first", () => {
    const pool = Array.from({ length: 12 }, (_, index) =>
      madeConnection({ cookie: String(index), local: { address: "10.0.0.1", port: 40_000 + index } }),
    );
    const other = madeConnection({ remote: { address: "10.0.0.6", port: 5_432 } });
    const groups = groupConnections([pool[0] as Connection, other, ...pool.slice(1)]);
    assert.deepEqual(
      groups.map(({ connections }) => connections.length),
      [12, 1],
    );
  });

  test("what waits out its end shares a row, unless there is something to say of it", () => {
    const ends = [madeConnection({ ...waiting, findings: [] })];
    for (const port of [443, 5_432, 6_379])
      ends.push(madeConnection({ ...waiting, findings: [], remote: { address: "10.0.0.8", port } }));
    const many = madeConnection({ ...waiting, findings: [{ code: "time-wait-many", message: "" }] });
    assert.deepEqual(
      groupConnections([...ends, many]).map(({ connections }) => connections.length),
      [4, 1],
    );
  });

  test("what has something else to say stands apart", () => {
    const base = madeConnection();
    const others: readonly Partial<Connection>[] = [
      { state: "CLOSE_WAIT" },
      { regime: "sending" },
      { userTimeoutMs: 90_000 },
      { settingsFrom: "timer" },
      { keepalive: { enabled: true, idleMs: 1_000, intervalMs: 75_000, count: 9 } },
      { findings: [] },
      { netns: "blue" },
      { processes: [{ pid: 1, name: "node", fd: 3 }] },
    ];
    for (const fields of others)
      assert.equal(groupConnections([base, { ...base, ...fields }]).length, 2, JSON.stringify(fields));
  });
});
